#pragma once
// The tile's products from registers alone: what no kernel of this instruction set can exceed.

#include "ops/elements.h"

namespace granule::GRANULE_ISA {

/// `steps` steps of a full tile; returns the floating-point operations done. `values` [2 * kPeakValues] makes
/// the products different and receives the sums, so that none of them can be left out.
template <class Element>
double multiply_registers(int64_t steps, float* values) {
  IntVec a[kTileRows], b[2];
  Vec acc[kTileRows][2] = {};
  for (int64_t i = 0; i < kTileRows; ++i) a[i] = bits_of(splat(values[i]));
  for (int64_t j = 0; j < 2; ++j) b[j] = bits_of(splat(values[kTileRows + j]));
  for (int64_t s = 0; s < steps; ++s) {
#pragma GCC unroll 8
    for (int64_t i = 0; i < kTileRows; ++i) {
      acc[i][0] = add_products(Element(), acc[i][0], a[i], b[0]);
      acc[i][1] = add_products(Element(), acc[i][1], a[i], b[1]);
    }
  }
  for (int64_t i = 0; i < kTileRows; ++i) values[kPeakValues + i] = acc[i][0][0] + acc[i][1][0];
  return 2.0 * static_cast<double>(steps * kTileRows * 2 * kWidth * kPerLane<Element>);
}

}  // namespace granule::GRANULE_ISA
