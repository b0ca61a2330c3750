#include "ops/kernels.h"

#include "ops/isa.h"

namespace granule {

namespace plain {
extern const KernelSet kKernels;
}
namespace avx2 {
extern const KernelSet kKernels;
}
namespace avx512 {
extern const KernelSet kKernels;
}
namespace avx512_bf16 {
extern const KernelSet kKernels;
}

namespace {

const KernelSet& chosen_set() {
#ifdef __x86_64__
  switch (kernel_isa()) {
    case Isa::kAvx2:
      return avx2::kKernels;
    case Isa::kAvx512:
      return avx512::kKernels;
    case Isa::kAvx512Bf16:
      return avx512_bf16::kKernels;
    default:
      break;
  }
#endif
  return plain::kKernels;
}

}  // namespace

template <>
const Kernels<float>& kernels<float>() {
  return chosen_set().fp32;
}

template <>
const Kernels<Bf16>& kernels<Bf16>() {
  return chosen_set().bf16;
}

}  // namespace granule
