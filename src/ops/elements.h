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

inline void store(float* target, Vec value) {
  store_as(target, value);
}
inline void store(Bf16* target, Vec value) {
  store_as(target, round_to_bf16(value));
}

/// The same columns of as many rows as share a lane, as they are stored: of a row and the next in bf16, of
/// one row in fp32.
inline Vec as_stored(float, Vec row, Vec) {
  return row;
}
inline WordVec as_stored(Bf16, Vec row, Vec next) {
  return round_to_bf16(row, next);
}

/// One of those rows, 0 or 1.
inline void store_row(float* target, Vec row, int64_t) {
  store_as(target, row);
}
inline void store_row(Bf16* target, WordVec rows, int64_t which) {
  store_as(target, load_as<HalfVec>(reinterpret_cast<const HalfVec*>(&rows) + which));
}

/// Their lanes, for products that sum over rows.
inline Vec lanes_of(Vec row) {
  return row;
}
inline IntVec lanes_of(WordVec rows) {
  decltype(rows > WordVec{}) order;
  for (int64_t i = 0; i < 2 * kWidth; ++i) order[i] = static_cast<int16_t>(i / 2 + i % 2 * kWidth);
  const WordVec lanes = __builtin_shuffle(rows, order);
  return load_as<IntVec>(&lanes);
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

constexpr float kLog2E = 1.44269504f;
constexpr float kLog2ERest = 1.92596303e-8f;  // log2(e) less that
constexpr float kLn2 = 0.693147181f;

/// 2^(n + f) within 2 ulp for an integer n and f in [-1/2, 1/2].
inline Vec power_of_two(Vec n, Vec f) {
  // The polynomial of least largest relative error, exact at 0.
  Vec p = splat(1.3264727217e-3f);
  p = p * f + 9.6715127002e-3f;
  p = p * f + 5.5507337438e-2f;
  p = p * f + 2.4022242084e-1f;
  p = p * f + 6.9314697760e-1f;
  p = p * f + 1.0f;
  return times_power_of_two(p, n);
}
/// The same within 2^-13.
inline Vec rough_power_of_two(Vec n, Vec f) {
  Vec p = splat(5.5008931154e-2f);
  p = p * f + 2.4221096281e-1f;
  p = p * f + 6.9328292750e-1f;
  p = p * f + 1.0f;
  return times_power_of_two(p, n);
}

// Where an operand is NaN, min_of and max_of give the second.
inline Vec clamped_power(Vec x) {
  return min_of(splat(127.0f), max_of(splat(kLowestPower), x));
}
/// 2^x within 2 ulp, 0 from kLowestPower down; above 127 it stays. NaN is NaN.
inline Vec exp2(Vec x) {
  const Vec power = clamped_power(x), n = nearest(power);
  return power_of_two(n, power - n);
}
/// e^x within 3 ulp, with the limits of 2^x. NaN is NaN.
inline Vec exp(Vec x) {
  const Vec clamped = min_of(splat(127.0f * kLn2), max_of(splat(kLowestPower * kLn2), x));
  const Vec n = nearest(clamped * kLog2E);
  const Vec f = (clamped * kLog2E - n) + clamped * kLog2ERest;  // fused: the product is not rounded
  return power_of_two(n, f);
}

/// 1 / (1 + e^-x) for results that are stored as the element: as exact as e^x in fp32, within 2^-12 for bf16.
inline Vec sigmoid(float, Vec x) {
  return reciprocal(1.0f + exp(-x));
}
inline Vec sigmoid(Bf16, Vec x) {
  const Vec power = clamped_power(x * -kLog2E), n = nearest(power);
  return rough_reciprocal(1.0f + rough_power_of_two(n, power - n));
}

/// All lanes of one vector.
template <class Combine>
inline float reduced(Vec value, const Combine& combine) {
  const IntVec number = lane_numbers();
#pragma GCC unroll 4
  for (int32_t distance = kWidth / 2; distance > 0; distance /= 2) {
    value = combine(value, __builtin_shuffle(value, number ^ distance));
  }
  return value[0];
}
inline float sum_of_lanes(Vec value) {
  return reduced(value, [](Vec a, Vec b) { return a + b; });
}
inline float max_of_lanes(Vec value) {
  return reduced(value, [](Vec a, Vec b) { return max_of(a, b); });
}

}  // namespace granule::GRANULE_ISA
