// AVX2 with FMA: 16 registers of 32 bytes, of which a tile of 4 x 16 sums takes 8.
#ifdef __x86_64__
#define GRANULE_ISA avx2
#define GRANULE_VECTOR_BYTES 32

#include "ops/simd.h"

namespace granule::GRANULE_ISA {
constexpr int64_t kTileRows = 4;
}

#include "ops/simd_generic.h"
#include "ops/simd_widened.h"

#include "ops/kernel_table.h"
#endif
