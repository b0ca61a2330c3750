// Vectors of 16 bytes, which every CPU has in one form or another.
#define GRANULE_ISA plain
#define GRANULE_VECTOR_BYTES 16

#include "ops/simd.h"

namespace granule::GRANULE_ISA {
constexpr int64_t kTileRows = 4;
}

#include "ops/simd_generic.h"
#include "ops/simd_widened.h"

#include "ops/kernel_table.h"
