#pragma once
// RMSNorm: y = x / sqrt(mean(x^2) + eps) * weight, the mean over the last dimension, statistics in fp32 (fp64
// for fp64 input). x is cast back before the weight is applied, as Hugging Face's models do.

#include <ATen/core/Tensor.h>

namespace granule {

/// `x` [..., D] of any float dtype, `weight_D` fp32 or x's dtype; the result has x's dtype. Differentiable.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight_D, double eps);

}  // namespace granule
