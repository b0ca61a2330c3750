#include <nlohmann/json.hpp>

#include "base/check.h"
#include "interchange/config_json.h"
#include "interchange/families.h"

namespace granule {

namespace {

constexpr char kSequenceLoss[] = "seq_aux_loss";

// What the public code takes where config.json is silent, as that of the 16B model is.
constexpr double kDefaultBalanceLoss = 0.001;

void read_router(const JsonField& config, ModelConfig& model) {
  auto& router = model.router;
  router.n_routed_experts = read_count(config, "n_routed_experts");
  router.num_experts_per_tok = read_count(config, "num_experts_per_tok");
  router.norm_topk_prob = config.boolean_or("norm_topk_prob", false);
  if (const auto scoring = config.find("scoring_func"); scoring && scoring->text() != "softmax") {
    scoring->refuse("is \"" + scoring->text() + "\"; models of type deepseek have \"softmax\"");
  }
  model.balance.moe_aux_loss_coeff = read_number_or(config, "aux_loss_alpha", kDefaultBalanceLoss);
  model.balance.moe_router_load_balancing_type =
      config.boolean_or("seq_aux", true) ? kSequenceLoss : "aux_loss";
}

ModelConfig read_config(const JsonField& config) {
  auto model = read_common_config(config);
  if (!config.find("n_routed_experts")) return model;
  read_router(config, model);
  model.moe_intermediate_size = read_count(config, "moe_intermediate_size");
  model.n_shared_experts = read_count_or(config, "n_shared_experts", 0);
  model.first_k_dense_replace = read_count_or(config, "first_k_dense_replace", 0);
  model.moe_layer_freq = read_count_or(config, "moe_layer_freq", 1, 1);
  return model;
}

std::string reason_against(const ModelConfig& config) {
  const auto reason = routing_reason(config, "softmax");
  return reason.empty() ? odd_head_reason(config) : reason;
}

void write_config(const ModelConfig& config, nlohmann::ordered_json& json) {
  json.erase("head_dim");
  json["moe_intermediate_size"] = config.moe_intermediate_size;
  json["n_routed_experts"] = config.router.n_routed_experts;
  // The public code asks whether there is a number, not whether it is 0.
  json["n_shared_experts"] = config.n_shared_experts > 0 ? nlohmann::ordered_json(config.n_shared_experts)
                                                         : nlohmann::ordered_json();
  json["num_experts_per_tok"] = config.router.num_experts_per_tok;
  json["first_k_dense_replace"] = config.first_k_dense_replace;
  json["moe_layer_freq"] = config.moe_layer_freq;
  json["norm_topk_prob"] = config.router.norm_topk_prob;
  json["scoring_func"] = "softmax";
  json["aux_loss_alpha"] = config.balance.moe_aux_loss_coeff;
  json["seq_aux"] = config.balance.moe_router_load_balancing_type == kSequenceLoss;
  json["pretraining_tp"] = 1;
  json["rope_scaling"] = nullptr;
  json.erase("rope_parameters");
  json["auto_map"] = {{"AutoConfig", "configuration_deepseek.DeepseekConfig"},
                      {"AutoModel", "modeling_deepseek.DeepseekModel"},
                      {"AutoModelForCausalLM", "modeling_deepseek.DeepseekForCausalLM"}};
}

}  // namespace

Architecture deepseek_architecture() {
  return {"deepseek",     "DeepseekForCausalLM", read_config,
          reason_against, write_config,          store_under_global_names};
}

}  // namespace granule
