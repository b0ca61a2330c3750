#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "interchange/config_json.h"
#include "interchange/families.h"
#include "model/selection_bias.h"

namespace granule {

namespace {

ModelConfig read_config(const JsonField& config) {
  if (config.boolean_or("use_qk_norm", false)) {
    config["use_qk_norm"].refuse("is true; Granule's attention does not normalise queries and keys");
  }
  auto model = read_common_config(config, {.partial_rotary_factor = 0.5});
  auto& router = model.router;
  router.n_routed_experts = read_count(config, "n_routed_experts");
  router.num_experts_per_tok = read_count(config, "num_experts_per_tok");
  router.scoring_func = "sigmoid";
  router.moe_router_enable_expert_bias = true;
  router.norm_topk_prob = config.boolean_or("norm_topk_prob", true);
  refuse_norm_of_one(config, model);
  router.routed_scaling_factor = read_number_or(config, "routed_scaling_factor", 1.0);
  router.n_group = read_count_or(config, "n_group", 1, 1);
  router.topk_group = read_count_or(config, "topk_group", 1, 1);
  if (router.is_grouped()) router.topk_method = "noaux_tc";
  model.moe_intermediate_size = read_count(config, "moe_intermediate_size");
  model.n_shared_experts =
      config.boolean_or(kZeroSharedExperts, false) ? 0 : read_count_or(config, "n_shared_experts", 1, 1);
  model.first_k_dense_replace = read_count_or(config, "first_k_dense_replace", 1);
  return model;
}

std::string reason_against(const ModelConfig& config) {
  const auto reason = routing_reason(config, "sigmoid");
  if (!reason.empty()) return reason;
  const auto& router = config.router;
  if (router.is_grouped() && router.topk_group < router.n_group && router.topk_method != "noaux_tc") {
    return "it scores a group by its best two experts, but model.topk_method = " + router.topk_method;
  }
  for (int64_t layer = config.first_k_dense_replace; layer < config.num_hidden_layers; ++layer) {
    if (!config.has_experts(layer)) {
      return join_text("all its layers after the first dense ones have experts, but model.moe_layer_freq = ",
                       config.moe_layer_freq);
    }
  }
  return "";
}

void write_config(const ModelConfig& config, nlohmann::ordered_json& json) {
  const auto& router = config.router;
  const bool grouped = router.is_grouped() && router.topk_method == "noaux_tc";
  json["rope_parameters"]["partial_rotary_factor"] = 1.0;
  json["partial_rotary_factor"] = 1.0;
  json["moe_intermediate_size"] = config.moe_intermediate_size;
  json["n_routed_experts"] = router.n_routed_experts;
  json["n_shared_experts"] = std::max<int64_t>(1, config.n_shared_experts);
  json["num_experts_per_tok"] = router.num_experts_per_tok;
  json["first_k_dense_replace"] = config.first_k_dense_replace;
  // With one expert Granule divides nothing, transformers would.
  json["norm_topk_prob"] = router.norm_topk_prob && router.num_experts_per_tok > 1;
  json["routed_scaling_factor"] = router.routed_scaling_factor;
  json["n_group"] = grouped ? router.n_group : 1;
  json["topk_group"] = grouped ? router.topk_group : 1;
  json["use_qk_norm"] = false;
  json["num_nextn_predict_layers"] = 0;
  if (config.n_shared_experts == 0) json[kZeroSharedExperts] = true;
}

std::vector<StoredTensor> store(const ModelConfig& config) {
  auto tensors = store_under_global_names(config);
  if (config.n_shared_experts == 0) add_zero_shared_experts(config, "shared_experts", tensors);
  if (config.router.moe_router_enable_expert_bias) return tensors;
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    if (!config.has_experts(layer)) continue;
    tensors.push_back({.name = layer_tensor(layer, join_text("mlp.gate.", kSelectionBias)),
                       .shape = {config.router.n_routed_experts},
                       .fp32 = true});
  }
  return tensors;
}

}  // namespace

Architecture glm4_moe_architecture() {
  return {"glm4_moe", "Glm4MoeForCausalLM", read_config, reason_against, write_config, store};
}

}  // namespace granule
