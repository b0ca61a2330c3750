#pragma once
// bf16 by the instructions of AVX512_BF16.

#include <immintrin.h>

#include "ops/simd.h"

namespace granule::GRANULE_ISA {

/// acc + a.low * b.low + a.high * b.high for pairs of bf16, the first in the low half.
inline Vec add_pair_products(Vec acc, IntVec a, IntVec b) {
  return _mm512_dpbf16_ps(acc, load_as<__m512bh>(&a), load_as<__m512bh>(&b));
}

/// Rounds to nearest, ties to even.
inline HalfVec round_to_bf16(Vec value) {
  return reinterpret_cast<HalfVec>(_mm512_cvtneps_pbh(value));
}
/// The values of `a`, then those of `b`.
inline WordVec round_to_bf16(Vec a, Vec b) {
  const __m512bh both = _mm512_cvtne2ps_pbh(b, a);
  return load_as<WordVec>(&both);
}

}  // namespace granule::GRANULE_ISA
