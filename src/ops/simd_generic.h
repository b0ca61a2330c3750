#pragma once
// What AVX-512 does in one instruction, for sets that do not.

#include "ops/simd.h"

namespace granule::GRANULE_ISA {

inline Vec max_of(Vec a, Vec b) {
  return a > b ? a : b;
}
inline Vec min_of(Vec a, Vec b) {
  return a < b ? a : b;
}

inline Vec root_of(Vec x) {
  Vec root;
#pragma GCC unroll 8
  for (int64_t i = 0; i < kWidth; ++i) root[i] = __builtin_sqrtf(x[i]);
  return root;
}

inline IntVec widen(HalfVec words) {
  return __builtin_convertvector(words, IntVec);
}
inline HalfVec narrow(IntVec lanes) {
  return __builtin_convertvector(lanes, HalfVec);
}

/// From here down 2^x is 0.
constexpr float kLowestPower = -127.0f;

/// The nearest integer of |x| < 2^22: adding 1.5 * 2^23 leaves no room for more.
inline Vec nearest(Vec x) {
  return (x + 12582912.0f) - 12582912.0f;
}

/// p * 2^n for an integer n in [-127, 128); -127 gives 0.
inline Vec times_power_of_two(Vec p, Vec n) {
  return p * vec_of((__builtin_convertvector(n, IntVec) + 127) << 23);
}

inline Vec reciprocal(Vec x) {
  return 1.0f / x;
}
inline Vec rough_reciprocal(Vec x) {
  return reciprocal(x);
}

}  // namespace granule::GRANULE_ISA
