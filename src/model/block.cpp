#include "model/block.h"

#include <ATen/ATen.h>

namespace granule {

Block::Block(const ModelConfig& config, int64_t layer, Communicator& expert_group, at::TensorOptions options,
             at::TensorOptions fp32_options)
    : layer_(layer) {
  const auto norm = [&] {
    return std::make_shared<RmsNorm>(config.hidden_size, config.rms_norm_eps, fp32_options);
  };
  attention_norm_ = register_module("input_layernorm", norm());
  attention_ = register_module("self_attn", std::make_shared<Attention>(config, options));
  transform_norm_ = register_module("post_attention_layernorm", norm());
  if (config.has_experts(layer)) {
    moe_ = register_module("mlp", std::make_shared<Moe>(config, expert_group, options, fp32_options));
  } else {
    dense_ = register_module(
        "mlp", std::make_shared<FeedForward>(1, config.hidden_size, config.intermediate_size, options));
  }
}

MoeOutput Block::forward(const at::Tensor& x_TD, const ForwardContext& context,
                         const RoutingDecision& replay) const {
  const auto h_TD = x_TD + attention_->forward(attention_norm_->forward(x_TD), context);
  return transform(h_TD, context, replay);
}

at::Tensor Block::forward_cached(const at::Tensor& x_TD, const CacheStep& step,
                                 GenerationCache& cache) const {
  const auto h_TD = x_TD + attention_->forward_cached(attention_norm_->forward(x_TD), step, layer_, cache);
  return transform(h_TD, ForwardContext{step.layout}, {}).y_TD;
}

MoeOutput Block::transform(const at::Tensor& x_TD, const ForwardContext& context,
                           const RoutingDecision& replay) const {
  const auto normed_TD = transform_norm_->forward(x_TD);
  auto output =
      moe_ ? moe_->forward(normed_TD, context, replay)
           : MoeOutput{dense_->forward(normed_TD, context.place), {}, {}};
  output.y_TD = x_TD + output.y_TD;
  return output;
}

}  // namespace granule
