#pragma once
// Cross-entropy of the vocabulary head without ever holding all logits: chunks of tokens, fp32 softmax.

#include <ATen/core/Tensor.h>

namespace granule {

/// -log softmax(hidden_TD . head_VD^T)[label_T] per token, fp32 (fp64 for fp64 input); 0 where `mask_T`
/// (bool) is false, and such a label is never read. Differentiable in hidden_TD and head_VD under a
/// scalar-weighted sum of the result; the head's gradient is added straight into its `.grad` when that is
/// defined. No chunk's logits survive forward: backward makes them again.
at::Tensor cross_entropy(const at::Tensor& hidden_TD, const at::Tensor& head_VD, const at::Tensor& label_T,
                         const at::Tensor& mask_T);

}  // namespace granule
