#include <nlohmann/json.hpp>

#include "base/check.h"
#include "interchange/config_json.h"
#include "interchange/families.h"

namespace granule {

namespace {

ModelConfig read_config(const JsonField& config) {
  auto model = read_common_config(config, {.rope_theta = 1e6});
  model.router.n_routed_experts = read_count(config, "num_local_experts");
  model.router.num_experts_per_tok = read_count(config, "num_experts_per_tok");
  model.router.norm_topk_prob = true;
  refuse_norm_of_one(config, model);
  model.moe_intermediate_size = model.intermediate_size;
  return model;
}

std::string reason_against(const ModelConfig& config) {
  const auto reason = routing_reason(config, "softmax");
  if (!reason.empty()) return reason;
  if (config.router.num_experts_per_tok == 1) return "it gives a token's only expert weight 1";
  if (!config.router.norm_topk_prob) return "it divides gates by their sum, but model.norm_topk_prob = false";
  if (config.n_shared_experts > 0) {
    return join_text("it has no shared experts, but model.n_shared_experts = ", config.n_shared_experts);
  }
  if (config.num_routed_layers() < config.num_hidden_layers) return "it has no dense layers";
  return "";
}

void write_config(const ModelConfig& config, nlohmann::ordered_json& json) {
  json["intermediate_size"] = config.moe_intermediate_size;
  json["num_local_experts"] = config.router.n_routed_experts;
  json["num_experts_per_tok"] = config.router.num_experts_per_tok;
  json["sliding_window"] = nullptr;
  json["output_router_logits"] = false;
  json["router_aux_loss_coef"] = router_aux_loss_coefficient(config);
}

std::vector<StoredTensor> store(const ModelConfig& config) {
  auto tensors = store_under_global_names(config);
  for (auto& tensor : tensors) {
    if (tensor.name.find(".mlp.") == std::string::npos) continue;
    // The router's name inside transformers 5, beside its stacks of experts.
    if (tensor.elsewhere.empty()) tensor.elsewhere.push_back({tensor.name, tensor.shape});
    tensor.name = replaced(tensor.name, ".mlp.", ".block_sparse_moe.");
    tensor.name = replaced(tensor.name, ".gate_proj.", ".w1.");
    tensor.name = replaced(tensor.name, ".down_proj.", ".w2.");
    tensor.name = replaced(tensor.name, ".up_proj.", ".w3.");
  }
  return tensors;
}

}  // namespace

Architecture mixtral_architecture() {
  return {"mixtral", "MixtralForCausalLM", read_config, reason_against, write_config, store};
}

}  // namespace granule
