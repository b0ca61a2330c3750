#include "model/attention.h"

#include <ATen/ATen.h>

#include "ops/attention.h"
#include "ops/rotary.h"

namespace granule {

Attention::Attention(const ModelConfig& config, at::TensorOptions options)
    : head_dim_(config.head_dim_used()) {
  const int64_t query_size = config.num_attention_heads * head_dim_;
  const int64_t key_size = config.num_key_value_heads_used() * head_dim_;
  query_ = register_module("q_proj", std::make_shared<Linear>(config.hidden_size, query_size, options));
  key_ = register_module("k_proj", std::make_shared<Linear>(config.hidden_size, key_size, options));
  value_ = register_module("v_proj", std::make_shared<Linear>(config.hidden_size, key_size, options));
  output_ = register_module("o_proj", std::make_shared<Linear>(query_size, config.hidden_size, options));
}

at::Tensor Attention::forward(const at::Tensor& x_TD, const ForwardContext& context) const {
  const auto& layout = context.layout;
  const auto [query_BSHd, key_BSGd, value_BSGd] = project(x_TD, layout, context.place);
  const auto mixed_BSHd = causal_attention(query_BSHd, key_BSGd, value_BSGd, layout.segment_BS);
  return output_->forward(mixed_BSHd.reshape({layout.num_tokens(), -1}), context.place);
}

at::Tensor Attention::forward_cached(const at::Tensor& x_TD, const CacheStep& step, int64_t layer,
                                     GenerationCache& cache) const {
  const auto [query_BSHd, key_BSGd, value_BSGd] = project(x_TD, step.layout, {});
  const auto all = cache.append(layer, step, key_BSGd, value_BSGd);
  const auto mixed_BSHd = cached_attention(query_BSHd, all.key_RPGd, all.value_RPGd, step.sees_B1SP);
  return output_->forward(mixed_BSHd.reshape({step.layout.num_tokens(), -1}));
}

Attention::Heads Attention::project(const at::Tensor& x_TD, const SequenceLayout& layout,
                                    const std::optional<BatchPlace>& place) const {
  const auto by_head = [&](const at::Tensor& projected) {
    return projected.view({layout.batch, layout.length, -1, head_dim_});
  };
  return {apply_rotary(by_head(query_->forward(x_TD, place)), layout.position_BS, layout.rotary),
          apply_rotary(by_head(key_->forward(x_TD, place)), layout.position_BS, layout.rotary),
          by_head(value_->forward(x_TD, place))};
}

}  // namespace granule
