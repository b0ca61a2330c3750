#include "model/model_config.h"

#include "base/check.h"

namespace granule {

namespace {

void check_attention(const ModelConfig& config) {
  if (config.head_dim == 0 && config.hidden_size % config.num_attention_heads != 0) {
    throw ConfigError("model.num_attention_heads", config.num_attention_heads, "must divide model.hidden_size = ",
                      config.hidden_size, ", or model.head_dim must be given");
  }
  if (config.head_dim_used() % 2 != 0) {
    throw ConfigError(config.head_dim == 0 ? "model.num_attention_heads" : "model.head_dim",
                      config.head_dim == 0 ? config.num_attention_heads : config.head_dim,
                      "gives heads of odd width ", config.head_dim_used(), "; rotary embedding turns pairs of features");
  }
  if (config.num_attention_heads % config.num_key_value_heads_used() != 0) {
    throw ConfigError("model.num_key_value_heads", config.num_key_value_heads,
                      "must divide model.num_attention_heads = ", config.num_attention_heads);
  }
}

// Experts that no layer has would make a dense model without a word.
void check_experts_have_a_layer(const ModelConfig& config) {
  const int64_t routed = config.router.n_routed_experts, shared = config.n_shared_experts;
  if (routed + shared == 0) return;
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    if (config.has_experts(layer)) return;
  }
  const auto experts = join_text(routed > 0 ? "model.n_routed_experts = " : "model.n_shared_experts = ",
                                 routed > 0 ? routed : shared, "; a dense model has no experts");
  if (config.first_k_dense_replace == config.num_hidden_layers) {
    throw ConfigError("model.first_k_dense_replace", config.first_k_dense_replace, "leaves no layer to ", experts);
  }
  throw ConfigError("model.moe_layer_freq", config.moe_layer_freq, "leaves, with model.first_k_dense_replace = ",
                    config.first_k_dense_replace, ", no layer of ", config.num_hidden_layers, " to ", experts);
}

}  // namespace

void ModelConfig::check() const {
  check_attention(*this);
  router.check();
  balance.check(router);
  if (first_k_dense_replace > num_hidden_layers) {
    throw ConfigError("model.first_k_dense_replace", first_k_dense_replace,
                      "must not exceed model.num_hidden_layers = ", num_hidden_layers);
  }
  check_experts_have_a_layer(*this);
}

std::vector<int64_t> ModelConfig::routed_layers() const {
  std::vector<int64_t> layers;
  for (int64_t layer = 0; layer < num_hidden_layers; ++layer) {
    if (has_experts(layer) && router.n_routed_experts > 0) layers.push_back(layer);
  }
  return layers;
}

void check_same_model(const ModelConfig& config, const ModelConfig& other, const std::string& place) {
  const auto compare = [&](const char* key, const auto& ours, const auto& theirs) {
    if (ours == theirs) return;
    throw ConfigError(key, ours, "differs from ", place, ", which makes it ", theirs);
  };
  compare("model.hidden_size", config.hidden_size, other.hidden_size);
  compare("model.num_attention_heads", config.num_attention_heads, other.num_attention_heads);
  compare("model.num_key_value_heads", config.num_key_value_heads_used(), other.num_key_value_heads_used());
  compare("model.head_dim", config.head_dim_used(), other.head_dim_used());
  compare("model.rope_theta", config.rope_theta, other.rope_theta);
  compare("model.rms_norm_eps", config.rms_norm_eps, other.rms_norm_eps);
  compare("model.tie_word_embeddings", config.tie_word_embeddings, other.tie_word_embeddings);
  if (other.num_routed_layers() == 0) return;
  const auto& router = config.router;
  const auto& other_router = other.router;
  compare("model.moe_router_type", router.moe_router_type, other_router.moe_router_type);
  compare("model.num_experts_per_tok", router.num_experts_per_tok, other_router.num_experts_per_tok);
  compare("model.scoring_func", router.scoring_func, other_router.scoring_func);
  compare("model.norm_topk_prob", router.norm_topk_prob, other_router.norm_topk_prob);
  compare("model.routed_scaling_factor", router.routed_scaling_factor, other_router.routed_scaling_factor);
  compare("model.n_group", router.n_group, other_router.n_group);
  compare("model.topk_group", router.topk_group, other_router.topk_group);
  compare("model.moe_router_enable_expert_bias", router.moe_router_enable_expert_bias,
          other_router.moe_router_enable_expert_bias);
  if (router.is_grouped()) compare("model.topk_method", router.topk_method, other_router.topk_method);
}

}  // namespace granule
