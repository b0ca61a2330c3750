// AVX-512 without bf16: 32 registers of 64 bytes, of which a tile of 8 x 32 sums takes 16.
#ifdef __x86_64__
#define GRANULE_ISA avx512
#define GRANULE_VECTOR_BYTES 64

#include "ops/simd.h"

namespace granule::GRANULE_ISA {
constexpr int64_t kTileRows = 8;
}

#include "ops/simd_avx512.h"
#include "ops/simd_widened.h"

#include "ops/kernel_table.h"
#endif
