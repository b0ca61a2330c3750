#pragma once
// Rows of a table by their ids, differentiable.

#include <ATen/core/Tensor.h>

namespace granule {

/// x_TD[t] = weight_VD[token_T[t]], in the weight's dtype. Its gradient is summed as other weights' is: in
/// fp32 at least, straight into a preset `.grad`, token after token. Ids must lie in [0, V).
at::Tensor embed(const at::Tensor& weight_VD, const at::Tensor& token_T);

}  // namespace granule
