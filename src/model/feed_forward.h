#pragma once
// SwiGLU feed-forward: a stack of e MLPs over rows sorted by expert. The dense layer's feed-forward and the shared
// experts (one MLP of their joint width) are stacks of one that every token uses. Its matrices may have adapters.

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <memory>
#include <optional>
#include <vector>

#include "model/lora.h"
#include "ops/row_order.h"

namespace granule {

class FeedForward : public torch::nn::Module {
 public:
  /// Parameters gate_proj.weight, up_proj.weight [e, inner, hidden] and down_proj.weight [e, hidden, inner].
  FeedForward(int64_t num_experts, int64_t hidden_size, int64_t inner_size, at::TensorOptions options);

  /// y_TD[t]: the sum of what the experts of t's slots make of x_TD[t], each times its gate; see expert_mlp.
  /// In training the micro-batch stands at `place`.
  at::Tensor forward(const at::Tensor& x_TD, const RowOrder& order, const at::Tensor& gate_N,
                     const std::optional<BatchPlace>& place) const;
  /// A stack of one: every row, in its own place.
  at::Tensor forward(const at::Tensor& x_TD, const std::optional<BatchPlace>& place) const;

 private:
  bool is_adapted() const;
  /// The same of rows already in order, matrix by matrix: adapters add to what comes before the activation.
  at::Tensor adapted(const at::Tensor& x_ND, const std::vector<int64_t>& end_G, const at::Tensor& gate_N,
                     const std::optional<BatchPlace>& place) const;

  std::shared_ptr<AdaptableMatrix> gate_, up_, down_;
};

}  // namespace granule
