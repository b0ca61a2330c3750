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
  return vec_of(widen(load_as<HalfVec>(source)) << 16);
}

/// A vector as it is stored.
inline Vec rounded(float, Vec value) {
  return value;
}
inline HalfVec rounded(Bf16, Vec value) {
  return round_to_bf16(value);
}

inline void store(float* target, Vec value) {
  store_as(target, value);
}
inline void store(Bf16* target, Vec value) {
  store_as(target, round_to_bf16(value));
}

/// Lanes of one row, or of a row and the next, for products that sum over rows.
inline Vec lanes_of(Vec row, Vec) {
  return row;
}
inline IntVec lanes_of(HalfVec row, HalfVec next) {
  return widen(row) | (widen(next) << 16);
}

inline Vec add_products(float, Vec acc, IntVec a, IntVec b) {
  return acc + vec_of(a) * vec_of(b);
}
inline Vec add_products(Bf16, Vec acc, IntVec a, IntVec b) {
  return add_pair_products(acc, a, b);
}

/// e^x within 2 ulp for x in [-87, 88], 0 from kLowestExponent down; above 88 it stays.
inline Vec exp(Vec x) {
  const Vec clamped = min_of(max_of(x, splat(kLowestExponent)), splat(88.0f));
  const Vec n = nearest(clamped * 1.44269504f);
  const Vec r = clamped - n * 0.693359375f - n * -2.12194440e-4f;
  Vec p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + (r + 1.0f);
  return times_power_of_two(p, n);
}

inline Vec sigmoid(Vec x) {
  return reciprocal(1.0f + exp(-x));
}

}  // namespace granule::GRANULE_ISA
