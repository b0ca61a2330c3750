#pragma once
// What AVX-512 does in one instruction.

#include <immintrin.h>

#include "ops/simd.h"

namespace granule::GRANULE_ISA {

inline Vec max_of(Vec a, Vec b) {
  return _mm512_max_ps(a, b);
}
inline Vec min_of(Vec a, Vec b) {
  return _mm512_min_ps(a, b);
}

inline Vec root_of(Vec x) {
  return _mm512_sqrt_ps(x);
}

inline IntVec widen(HalfVec words) {
  return reinterpret_cast<IntVec>(_mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(words)));
}
inline HalfVec narrow(IntVec lanes) {
  return reinterpret_cast<HalfVec>(_mm512_cvtepi32_epi16(reinterpret_cast<__m512i>(lanes)));
}

/// From here down 2^x is 0.
constexpr float kLowestPower = -160.0f;

/// The nearest integer, and p * 2^n for such an n.
inline Vec nearest(Vec x) {
  return _mm512_roundscale_ps(x, 0);
}
inline Vec times_power_of_two(Vec p, Vec n) {
  return _mm512_scalef_ps(p, n);
}

/// 1 / x within 2^-14 of it.
inline Vec rough_reciprocal(Vec x) {
  return _mm512_rcp14_ps(x);
}
/// 1 / x within 2 ulp for 0 < x < 2^126.
inline Vec reciprocal(Vec x) {
  const Vec guess = rough_reciprocal(x);
  return guess * (2.0f - x * guess);
}

}  // namespace granule::GRANULE_ISA
