#include "ops/kernels.h"

#include "ops/isa.h"

namespace granule {

namespace plain {
extern const Kernels<float> kFloatKernels;
extern const Kernels<Bf16> kBf16Kernels;
}  // namespace plain
namespace avx2 {
extern const Kernels<float> kFloatKernels;
extern const Kernels<Bf16> kBf16Kernels;
}  // namespace avx2
namespace avx512 {
extern const Kernels<float> kFloatKernels;
extern const Kernels<Bf16> kBf16Kernels;
}  // namespace avx512
namespace avx512_bf16 {
extern const Kernels<float> kFloatKernels;
extern const Kernels<Bf16> kBf16Kernels;
}  // namespace avx512_bf16

#ifdef __x86_64__
template <>
const Kernels<float>& kernels<float>() {
  switch (kernel_isa()) {
    case Isa::kAvx2:
      return avx2::kFloatKernels;
    case Isa::kAvx512:
      return avx512::kFloatKernels;
    case Isa::kAvx512Bf16:
      return avx512_bf16::kFloatKernels;
    default:
      return plain::kFloatKernels;
  }
}

template <>
const Kernels<Bf16>& kernels<Bf16>() {
  switch (kernel_isa()) {
    case Isa::kAvx2:
      return avx2::kBf16Kernels;
    case Isa::kAvx512:
      return avx512::kBf16Kernels;
    case Isa::kAvx512Bf16:
      return avx512_bf16::kBf16Kernels;
    default:
      return plain::kBf16Kernels;
  }
}
#else
template <>
const Kernels<float>& kernels<float>() {
  return plain::kFloatKernels;
}
template <>
const Kernels<Bf16>& kernels<Bf16>() {
  return plain::kBf16Kernels;
}
#endif

}  // namespace granule
