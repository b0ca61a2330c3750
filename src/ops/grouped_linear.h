#pragma once
// Linear maps of rows in groups, each group by a matrix of its own.

#include <ATen/core/Tensor.h>

#include <vector>

namespace granule {

/// y_NO[n] = weight_gOI[g] x_NI[n] for the rows n of group g, which end at end_G[g]; a group may be empty. One
/// group may come with a matrix [O, I]. fp32, fp64 or bf16, both alike. Differentiable; the weight's gradient
/// is added straight into its `.grad` when that is preset (fp32 for bf16 weights), and a weight that needs
/// none costs none.
at::Tensor grouped_linear(const at::Tensor& x_NI, const at::Tensor& weight_gOI,
                          const std::vector<int64_t>& end_G);

}  // namespace granule
