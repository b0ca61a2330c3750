#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "interchange/config_json.h"
#include "interchange/families.h"

namespace granule {

namespace {

std::vector<bool> sparse_layers(const JsonField& config, int64_t num_layers) {
  const int64_t step = read_count_or(config, "decoder_sparse_step", 1, 1);
  std::vector<bool> sparse;
  for (int64_t layer = 0; layer < num_layers; ++layer) sparse.push_back((layer + 1) % step == 0);
  if (const auto dense = config.find("mlp_only_layers")) {
    for (const auto& id : dense->items()) sparse[static_cast<size_t>(id.integer(0, num_layers - 1))] = false;
  }
  return sparse;
}

int64_t read_shared_experts(const JsonField& config, int64_t width_of_one) {
  if (config.boolean_or(kZeroSharedExperts, false)) return 0;
  const int64_t width = read_count(config, "shared_expert_intermediate_size");
  if (width % width_of_one != 0) {
    config["shared_expert_intermediate_size"].refuse(join_text(
        "is ", width, "; Granule's shared experts are each moe_intermediate_size = ", width_of_one, " wide"));
  }
  return width / width_of_one;
}

ModelConfig read_config(const JsonField& config) {
  auto model = read_common_config(config);
  model.router.n_routed_experts = read_count(config, "num_experts");
  model.router.num_experts_per_tok = read_count(config, "num_experts_per_tok");
  model.router.norm_topk_prob = config.boolean_or("norm_topk_prob", false);
  refuse_norm_of_one(config, model);
  model.moe_intermediate_size = read_count(config, "moe_intermediate_size");
  model.n_shared_experts = read_shared_experts(config, model.moe_intermediate_size);
  set_sparse_layers(sparse_layers(config, model.num_hidden_layers),
                    config[config.find("mlp_only_layers") ? "mlp_only_layers" : "num_experts"], model);
  return model;
}

std::string reason_against(const ModelConfig& config) {
  const auto reason = routing_reason(config, "softmax");
  return reason.empty() ? odd_head_reason(config) : reason;
}

void write_config(const ModelConfig& config, nlohmann::ordered_json& json) {
  std::vector<int64_t> dense;
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    if (!config.has_experts(layer)) dense.push_back(layer);
  }
  json["moe_intermediate_size"] = config.moe_intermediate_size;
  json["shared_expert_intermediate_size"] =
      std::max<int64_t>(1, config.n_shared_experts) * config.moe_intermediate_size;
  json["num_experts"] = config.router.n_routed_experts;
  json["num_experts_per_tok"] = config.router.num_experts_per_tok;
  // With one expert Granule divides nothing, transformers would.
  json["norm_topk_prob"] = config.router.norm_topk_prob && config.router.num_experts_per_tok > 1;
  json["decoder_sparse_step"] = 1;
  json["mlp_only_layers"] = dense;
  json["qkv_bias"] = true;
  json["use_sliding_window"] = false;
  json["output_router_logits"] = false;
  json["router_aux_loss_coef"] = router_aux_loss_coefficient(config);
  if (config.n_shared_experts == 0) json[kZeroSharedExperts] = true;
}

// vLLM, and transformers before qkv_bias, have biases on queries, keys and values in any case.
void add_zero_biases(const ModelConfig& config, std::vector<StoredTensor>& tensors) {
  const int64_t query = config.num_attention_heads * config.head_dim_used();
  const int64_t key = config.num_key_value_heads_used() * config.head_dim_used();
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    const auto add = [&](const char* name, int64_t size) {
      tensors.push_back({.name = layer_tensor(layer, join_text("self_attn.", name, ".bias")),
                         .shape = {size},
                         .optional = true});
    };
    add("q_proj", query);
    add("k_proj", key);
    add("v_proj", key);
  }
}

void add_zero_gates(const ModelConfig& config, std::vector<StoredTensor>& tensors) {
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    if (!config.has_experts(layer)) continue;
    tensors.push_back(
        {.name = layer_tensor(layer, "mlp.shared_expert_gate.weight"), .shape = {1, config.hidden_size}});
  }
}

std::vector<StoredTensor> store(const ModelConfig& config) {
  auto tensors = store_under_global_names(config);
  for (auto& tensor : tensors) {
    tensor.name = replaced(tensor.name, ".shared_experts.", ".shared_expert.");
    if (tensor.name.ends_with(".shared_expert.down_proj.weight")) tensor.factor = 2;
  }
  if (config.n_shared_experts == 0) add_zero_shared_experts(config, "shared_expert", tensors);
  add_zero_gates(config, tensors);
  add_zero_biases(config, tensors);
  return tensors;
}

}  // namespace

Architecture qwen2_moe_architecture() {
  return {"qwen2_moe", "Qwen2MoeForCausalLM", read_config, reason_against, write_config, store};
}

}  // namespace granule
