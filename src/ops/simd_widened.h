#pragma once
// bf16 for instruction sets that know nothing of it: widened to fp32 on the way in, rounded on the way out.

#include "ops/simd.h"

namespace granule::GRANULE_ISA {

/// acc + a.low * b.low + a.high * b.high for pairs of bf16, the first in the low half.
inline Vec add_pair_products(Vec acc, IntVec a, IntVec b) {
  const IntVec high = splat(static_cast<int32_t>(0xffff0000u));
  acc += vec_of(a << 16) * vec_of(b << 16);
  return acc + vec_of(a & high) * vec_of(b & high);
}

/// Rounds to nearest, ties to even.
inline HalfVec round_to_bf16(Vec value) {
  const IntVec bits = bits_of(value);
  const IntVec rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  return narrow((value != value ? splat(0x7fc0) : rounded) & 0xffff);
}
/// The values of `a`, then those of `b`.
inline WordVec round_to_bf16(Vec a, Vec b) {
  const HalfVec both[2] = {round_to_bf16(a), round_to_bf16(b)};
  return load_as<WordVec>(both);
}

}  // namespace granule::GRANULE_ISA
