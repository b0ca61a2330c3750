#pragma once
// Multi-head attention with grouped keys and values and rotary positions; a key-value cache for generation.

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <memory>

#include "model/forward_context.h"
#include "model/generation_cache.h"
#include "model/linear.h"
#include "model/model_config.h"

namespace granule {

class Attention : public torch::nn::Module {
 public:
  Attention(const ModelConfig& config, at::TensorOptions options);

  at::Tensor forward(const at::Tensor& x_TD, const ForwardContext& context) const;
  /// Without gradients: the tokens of `step` follow those in layer `layer` of `cache`, which takes them in.
  at::Tensor forward_cached(const at::Tensor& x_TD, const CacheStep& step, int64_t layer,
                            GenerationCache& cache) const;

 private:
  struct Heads {
    at::Tensor query_BSHd, key_BSGd, value_BSGd;
  };
  Heads project(const at::Tensor& x_TD, const SequenceLayout& layout,
                const std::optional<BatchPlace>& place) const;

  int64_t head_dim_;
  std::shared_ptr<Linear> query_, key_, value_, output_;
};

}  // namespace granule
