#pragma once
// Cross-entropy of the vocabulary head without ever holding all logits: chunks of tokens, fp32 softmax.

#include <ATen/core/Tensor.h>

namespace granule {

struct TokenLosses {
  at::Tensor loss_T;  ///< not differentiable
  at::Tensor sum;     ///< of all of them, a scalar, differentiable
};

/// -log softmax(hidden_TD . head_VD^T)[label_T] per token, fp32 (fp64 for fp64 input); 0 where `mask_T`
/// (bool) is false, and such a label is never read. Where gradients are recorded, those of the sum in
/// hidden_TD and head_VD are made right away, while a chunk's logits are there, and kept in fp32; backward
/// only scales them and adds the head's straight into its `.grad` when that is defined.
TokenLosses cross_entropy(const at::Tensor& hidden_TD, const at::Tensor& head_VD, const at::Tensor& label_T,
                          const at::Tensor& mask_T);

/// The logits themselves, [N, V], for few tokens: of bf16 inputs in fp32, summed like those of the loss and
/// no more rounded than they. Without gradients.
at::Tensor head_logits(const at::Tensor& hidden_ND, const at::Tensor& head_VD);

}  // namespace granule
