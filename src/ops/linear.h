#pragma once
// A linear map without bias.

#include <ATen/core/Tensor.h>

namespace granule {

/// y = x W^T for `x` [..., I] and `weight_OI`, both of one float dtype. Differentiable; the weight's
/// gradient is added straight into its `.grad` when that is preset (fp32 for bf16 weights), and the
/// graph sees none.
at::Tensor apply_linear(const at::Tensor& x, const at::Tensor& weight_OI);

}  // namespace granule
