#include "model/router_config.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/check.h"

namespace granule {
namespace {

// The message of the ConfigError; empty if there is none.
std::string complaint(const std::function<void(RouterConfig&)>& change) {
  RouterConfig config{.n_routed_experts = 8, .num_experts_per_tok = 2};
  change(config);
  try {
    config.check();
  } catch (const ConfigError& error) {
    return error.key();
  }
  return "";
}

void group(RouterConfig& config, int64_t groups, int64_t open) {
  config.topk_method = "group_limited_greedy";
  config.n_group = groups;
  config.topk_group = open;
}

TEST(RouterConfig, AcceptsThePublishedModels) {
  EXPECT_EQ(complaint([](auto&) {}), "");
  EXPECT_EQ(complaint([](auto& c) { group(c, 4, 2); }), "");              // V2
  EXPECT_EQ(complaint([](auto& c) { c.topk_method = "noaux_tc"; }), "");  // Kimi K2: one group
  EXPECT_EQ(complaint([](auto& c) { c.moe_router_enable_expert_bias = true; }), "");
  EXPECT_EQ(complaint([](auto& c) { c.moe_router_type = "hash", c.num_experts_per_tok = 1; }), "");
  EXPECT_EQ(complaint([](auto& c) { c.n_routed_experts = 0; }), "");
}

TEST(RouterConfig, RefusesGroupsThatCannotBe) {
  EXPECT_EQ(complaint([](auto& c) { c.n_group = 4; }), "model.topk_method");
  EXPECT_EQ(complaint([](auto& c) { group(c, 3, 2); }), "model.n_group");
  EXPECT_EQ(complaint([](auto& c) { group(c, 4, 5); }), "model.topk_group");
  EXPECT_EQ(complaint([](auto& c) { c.topk_group = 2; }), "model.topk_group");
  EXPECT_EQ(complaint([](auto& c) { group(c, 8, 1); }), "model.num_experts_per_tok");
  EXPECT_EQ(complaint([](auto& c) { group(c, 8, 2), c.topk_method = "noaux_tc"; }), "model.topk_method");
}

TEST(RouterConfig, RefusesMoreChoicesThanExpertsAndABiasOfNothing) {
  EXPECT_EQ(complaint([](auto& c) { c.num_experts_per_tok = 9; }), "model.num_experts_per_tok");
  EXPECT_EQ(complaint([](auto& c) { c.n_routed_experts = 0, c.moe_router_enable_expert_bias = true; }),
            "model.moe_router_enable_expert_bias");
}

TEST(RouterConfig, RefusesScoresForAHashRouterAndATableForOthers) {
  const auto hash = [](const std::function<void(RouterConfig&)>& change) {
    return complaint([&](RouterConfig& c) {
      c.moe_router_type = "hash";
      c.num_experts_per_tok = 1;
      change(c);
    });
  };
  EXPECT_EQ(hash([](auto& c) { c.num_experts_per_tok = 2; }), "model.num_experts_per_tok");
  EXPECT_EQ(hash([](auto& c) { c.n_routed_experts = 0; }), "model.moe_router_type");
  EXPECT_EQ(hash([](auto& c) { c.scoring_func = "sigmoid"; }), "model.scoring_func");
  EXPECT_EQ(hash([](auto& c) { c.norm_topk_prob = true; }), "model.norm_topk_prob");
  EXPECT_EQ(hash([](auto& c) { group(c, 4, 2); }), "model.n_group");
  EXPECT_EQ(hash([](auto& c) { c.moe_router_enable_expert_bias = true; }),
            "model.moe_router_enable_expert_bias");
  EXPECT_EQ(complaint([](auto& c) { c.moe_router_hash_counts = "counts.txt"; }),
            "model.moe_router_hash_counts");
}

}  // namespace
}  // namespace granule
