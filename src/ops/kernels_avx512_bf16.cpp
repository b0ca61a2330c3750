// AVX-512 with products of bf16 pairs.
#ifdef __x86_64__
#define GRANULE_ISA avx512_bf16
#define GRANULE_VECTOR_BYTES 64

#include "ops/simd.h"

namespace granule::GRANULE_ISA {
constexpr int64_t kTileRows = 8;
}

#include "ops/simd_avx512.h"
#include "ops/simd_bf16.h"

#include "ops/kernel_table.h"
#endif
