#include "model/router_config.h"

#include "base/check.h"

namespace granule {

namespace {

void check_groups(const RouterConfig& config) {
  const int64_t experts = config.n_routed_experts, groups = config.n_group;
  if (config.topk_group > groups) {
    throw ConfigError("model.topk_group", config.topk_group, "must not exceed model.n_group = ", groups);
  }
  if (groups == 1) return;
  if (config.topk_method == "greedy") {
    throw ConfigError("model.topk_method", config.topk_method,
                      "knows no groups, but model.n_group = ", groups);
  }
  if (experts == 0 || experts % groups != 0) {
    throw ConfigError("model.n_group", groups, "must divide model.n_routed_experts = ", experts);
  }
  if (config.num_experts_per_tok > config.topk_group * (experts / groups)) {
    throw ConfigError("model.num_experts_per_tok", config.num_experts_per_tok, "must not exceed the ",
                      config.topk_group * (experts / groups),
                      " experts of model.topk_group = ", config.topk_group, " groups");
  }
  if (config.topk_method == "noaux_tc" && experts / groups < 2) {
    throw ConfigError("model.topk_method", config.topk_method,
                      "scores a group by its best two experts, but groups have one");
  }
}

void check_hash(const RouterConfig& config) {
  if (config.n_routed_experts == 0) {
    throw ConfigError("model.moe_router_type", config.moe_router_type, "needs model.n_routed_experts");
  }
  const auto refuse = [](const char* key, const auto& value) {
    throw ConfigError(key, value, "means nothing with model.moe_router_type = hash, which has no scores");
  };
  if (config.num_experts_per_tok != 1) {
    throw ConfigError("model.num_experts_per_tok", config.num_experts_per_tok,
                      "must be 1 with model.moe_router_type = hash");
  }
  if (config.scoring_func != "softmax") refuse("model.scoring_func", config.scoring_func);
  if (config.norm_topk_prob) refuse("model.norm_topk_prob", "true");
  if (config.is_grouped()) refuse("model.n_group", config.n_group);
  if (config.moe_router_enable_expert_bias) refuse("model.moe_router_enable_expert_bias", "true");
}

}  // namespace

void RouterConfig::check() const {
  if (is_hash()) {
    check_hash(*this);
  } else if (!moe_router_hash_counts.empty()) {
    throw ConfigError("model.moe_router_hash_counts", moe_router_hash_counts,
                      "needs model.moe_router_type = hash");
  }
  if (n_routed_experts > 0 && num_experts_per_tok > n_routed_experts) {
    throw ConfigError("model.num_experts_per_tok", num_experts_per_tok,
                      "must not exceed model.n_routed_experts = ", n_routed_experts);
  }
  if (n_routed_experts == 0 && moe_router_enable_expert_bias) {
    throw ConfigError("model.moe_router_enable_expert_bias", "true",
                      "needs routed experts, but model.n_routed_experts = 0");
  }
  check_groups(*this);
}

}  // namespace granule
