#pragma once
// One transformer block: pre-norm attention, then pre-norm feed-forward or MoE, each with its residual.

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <memory>

#include "model/attention.h"
#include "model/feed_forward.h"
#include "model/moe.h"
#include "model/norm.h"

namespace granule {

class Block : public torch::nn::Module {
 public:
  /// Dense or MoE as the config says for layer `layer`.
  Block(const ModelConfig& config, int64_t layer, Communicator& expert_group, at::TensorOptions options,
        at::TensorOptions fp32_options);

  /// See MoeOutput: y_TD is the block's output; a dense block has no balance loss and no decision.
  MoeOutput forward(const at::Tensor& x_TD, const ForwardContext& context,
                    const RoutingDecision& replay) const;
  /// Without gradients, for generation.
  at::Tensor forward_cached(const at::Tensor& x_TD, const CacheStep& step, GenerationCache& cache) const;

 private:
  /// The second half: x plus what the feed-forward or the experts make of it.
  MoeOutput transform(const at::Tensor& x_TD, const ForwardContext& context,
                      const RoutingDecision& replay) const;

  int64_t layer_;
  std::shared_ptr<RmsNorm> attention_norm_, transform_norm_;
  std::shared_ptr<Attention> attention_;
  std::shared_ptr<FeedForward> dense_;  // one of these two
  std::shared_ptr<Moe> moe_;
};

}  // namespace granule
