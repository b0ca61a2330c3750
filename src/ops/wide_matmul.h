#pragma once
// Products of bf16 matrices whose result stays fp32, as gradients and logits want it.

#include <ATen/core/Tensor.h>

namespace granule {

/// bf16 as fp32; any other as it is.
at::Tensor widen(const at::Tensor& x);

/// a b, [R, I] x [I, C]: sums and result in fp32 if either is bf16, else in their common dtype. On a GPU an
/// fp32 factor of a bf16 one is rounded to bf16 first; on the CPU the bf16 one is widened.
at::Tensor wide_mm(const at::Tensor& a, const at::Tensor& b);
/// Adds it to `sum_RC`, fp32 if either factor is bf16.
void add_wide_mm(at::Tensor& sum_RC, const at::Tensor& a, const at::Tensor& b);

}  // namespace granule
