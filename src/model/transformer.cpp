#include "model/transformer.h"

#include <ATen/ATen.h>

#include "base/check.h"
#include "comm/collective_log.h"
#include "comm/loopback_communicator.h"
#include "model/hash_table.h"
#include "model/initialize.h"
#include "model/recompute.h"
#include "ops/cross_entropy.h"
#include "ops/embedding.h"

namespace granule {

namespace {

// A module that is nothing but a name for those inside.
class Named : public torch::nn::Module {};

class Embedding : public torch::nn::Module {
 public:
  Embedding(int64_t rows, int64_t width, at::TensorOptions options) {
    weight = register_parameter("weight", at::empty({rows, width}, options));
  }
  at::Tensor weight;
};

// Backward comes into a block by the gradient of its output.
void call_before_backward(const std::function<void(int64_t)>& call, int64_t block, const at::Tensor& y_TD) {
  if (call && y_TD.requires_grad()) {
    y_TD.register_hook([call, block](const at::Tensor& /*gradient*/) { call(block); });
  }
}

}  // namespace

Transformer::Transformer(const ModelConfig& config, Communicator& expert_group, at::ScalarType dtype,
                         c10::Device device)
    : config_(config), rotary_(config.head_dim_used(), config.rope_theta) {
  const auto options = at::TensorOptions(device).dtype(dtype);
  const auto fp32_options = options.dtype(dtype == at::kDouble ? at::kDouble : at::kFloat);
  first_local_expert_ = expert_group.rank() * (config.router.n_routed_experts / expert_group.size());

  trunk_ = register_module("model", std::make_shared<Named>());
  embedding_VD_ = trunk_
                      ->register_module("embed_tokens", std::make_shared<Embedding>(
                                                            config.vocab_size, config.hidden_size, options))
                      ->weight;
  auto layers = trunk_->register_module("layers", std::make_shared<Named>());
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    blocks_.push_back(layers->register_module(
        std::to_string(layer), std::make_shared<Block>(config, layer, expert_group, options, fp32_options)));
  }
  final_norm_ = trunk_->register_module(
      "norm", std::make_shared<RmsNorm>(config.hidden_size, config.rms_norm_eps, fp32_options));
  if (!config.tie_word_embeddings) {
    head_ =
        register_module("lm_head", std::make_shared<Linear>(config.hidden_size, config.vocab_size, options));
  }
}

TransformerOutput Transformer::forward(const at::Tensor& token_BS,
                                       const ForwardContext& outer_context) const {
  TransformerOutput output;
  auto context = outer_context;
  complete(context.layout, token_BS.flatten());
  auto x_TD = embed(embedding_VD_, context.layout.token_T);
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const auto& block = *blocks_[i];
    const auto from_block =
        context.recompute ? recomputed_forward(block, x_TD, context) : block.forward(x_TD, context, {});
    x_TD = from_block.y_TD;
    call_before_backward(context.before_backward, static_cast<int64_t>(i), x_TD);
    if (!from_block.balance_loss.defined()) continue;
    output.balance_loss = output.balance_loss.defined() ? output.balance_loss + from_block.balance_loss
                                                        : from_block.balance_loss;
  }
  output.hidden_TD = final_norm_->forward(x_TD);
  return output;
}

TokenLosses Transformer::token_losses(const at::Tensor& hidden_TD, const at::Tensor& label_T,
                                      const at::Tensor& mask_T) const {
  return cross_entropy(hidden_TD, head_VD(), label_T, mask_T);
}

at::Tensor Transformer::logits(const at::Tensor& hidden_ND) const {
  return head_logits(hidden_ND, head_VD());
}

GenerationCache Transformer::make_cache(int64_t num_rows, int64_t capacity) const {
  return GenerationCache(config_, num_rows, capacity, embedding_VD_.options().requires_grad(false));
}

at::Tensor Transformer::next_logits(const at::Tensor& token_BS, std::span<const int64_t> count_B,
                                    GenerationCache& cache) const {
  const at::NoGradGuard no_grad;
  auto step = cache.extend(count_B, token_BS.size(1));
  complete(step.layout, token_BS.flatten().to(device()));
  auto x_TD = embed(embedding_VD_, step.layout.token_T);
  for (const auto& block : blocks_) x_TD = block->forward_cached(x_TD, step, cache);
  return logits(final_norm_->forward(x_TD.index_select(0, step.last_B))).cpu();
}

void Transformer::complete(SequenceLayout& layout, const at::Tensor& token_T) const {
  layout.token_T = token_T;
  layout.rotary = rotary_.up_to(layout.end_position, device());
}

const at::Tensor& Transformer::head_VD() const {
  return head_ ? head_->weight() : embedding_VD_;
}

std::vector<PlacedParameter> Transformer::placed_parameters() const {
  return place_parameters(*this, first_local_expert_);
}

void Transformer::adapt(const LoraConfig& lora, uint64_t seed) {
  add_adapters(*this, lora, seed);
  config_.router.moe_router_bias_update_rate = 0;
  config_.router.moe_router_hash_counts.clear();  // the tables are the frozen model's
}

void Transformer::initialize(uint64_t seed) {
  const auto parameters = placed_parameters();
  initialize_parameters(parameters, seed, config_.initializer_range);
  fill_hash_tables(parameters, config_.router, seed);
}

std::vector<PlacedParameter> describe_parameters(const ModelConfig& config, at::ScalarType dtype) {
  LoopbackCommunicator alone("description", std::make_shared<CollectiveLog>());
  return Transformer(config, alone, dtype, at::kMeta).placed_parameters();
}

}  // namespace granule
