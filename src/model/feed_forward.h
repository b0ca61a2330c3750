#pragma once
// SwiGLU feed-forward: a stack of e MLPs over rows sorted by expert. The dense layer's feed-forward and the shared
// experts (one MLP of their joint width) are stacks of one that every token uses.

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "ops/expert_mlp.h"

namespace granule {

class FeedForward : public torch::nn::Module {
 public:
  /// Parameters gate_proj.weight, up_proj.weight [e, inner, hidden] and down_proj.weight [e, hidden, inner].
  FeedForward(int64_t num_experts, int64_t hidden_size, int64_t inner_size, at::TensorOptions options);

  /// Row n of the result is expert g's output for x_TD[order.source_N[n]], g being the row's group.
  at::Tensor forward(const at::Tensor& x_TD, const RowOrder& order) const;
  /// A stack of one: every row, in its own place.
  at::Tensor forward(const at::Tensor& x_TD) const;

 private:
  ExpertWeights weights_;
};

}  // namespace granule
