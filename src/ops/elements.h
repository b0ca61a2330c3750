#pragma once
// Elements in memory against vectors of fp32, and the 32-bit lanes that products are made of: a lane is one
// fp32, or two bf16 that are neighbours along the summed dimension.

#include "ops/simd.h"

namespace granule::GRANULE_ISA {

template <class Element>
constexpr int64_t kPerLane = 4 / static_cast<int64_t>(sizeof(Element));

inline Vec load(const float* source) {
  return load_as<Vec>(source);
}
inline Vec load(const Bf16* source) {
  return vec_of(__builtin_convertvector(load_as<HalfVec>(source), IntVec) << 16);
}
inline void store(float* target, Vec value) {
  store_as(target, value);
}
inline void store(Bf16* target, Vec value) {
  store_as(target, __builtin_convertvector(round_to_bf16(value), HalfVec));
}

/// Two rows of a value become the lanes of a product that sums over rows.
inline void store_lanes(uint32_t* target, float, Vec row, Vec) {
  store_as(target, row);
}
inline void store_lanes(uint32_t* target, Bf16, Vec row, Vec next) {
  store_as(target, round_to_bf16(row) | (round_to_bf16(next) << 16));
}

inline Vec add_products(float, Vec acc, IntVec a, IntVec b) {
  return acc + vec_of(a) * vec_of(b);
}
inline Vec add_products(Bf16, Vec acc, IntVec a, IntVec b) {
  return add_pair_products(acc, a, b);
}

/// e^x within 2 ulp; 0 below -87, and clamped above 88.
inline Vec exp(Vec x) {
  const Vec clamped = x < -87.0f ? splat(-87.0f) : (x > 88.0f ? splat(88.0f) : x);
  // Adding 1.5 * 2^23 leaves the nearest integer in the low bits.
  const Vec shifted = clamped * 1.44269504f + 12582912.0f;
  const Vec n = shifted - 12582912.0f;
  const Vec r = clamped - n * 0.693359375f - n * -2.12194440e-4f;
  Vec p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const Vec power = vec_of((bits_of(shifted) - 0x4b400000 + 127) << 23);
  return x < -87.0f ? splat(0.0f) : p * power;
}

}  // namespace granule::GRANULE_ISA
