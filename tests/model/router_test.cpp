#include "model/router.h"

#include <gtest/gtest.h>

#include "model/hash_router.h"
#include "model/top_k_router.h"

namespace granule {
namespace {

TEST(MakeRouter, MakesWhatTheConfigSaysWithHuggingFacesNames) {
  RouterConfig config;
  config.n_routed_experts = 4;
  auto router = make_router(config, 32, 8, at::kFloat);
  EXPECT_NE(dynamic_cast<TopKRouter*>(router.get()), nullptr);
  EXPECT_EQ(router->named_parameters().keys(), std::vector<std::string>{"weight"});
  config.moe_router_enable_expert_bias = true;
  EXPECT_EQ(make_router(config, 32, 8, at::kFloat)->named_parameters().keys(),
            (std::vector<std::string>{"weight", "e_score_correction_bias"}));

  config = {.moe_router_type = "hash", .n_routed_experts = 4};
  router = make_router(config, 32, 8, at::kFloat);
  EXPECT_NE(dynamic_cast<HashRouter*>(router.get()), nullptr);
  EXPECT_EQ(router->named_parameters()["tid2eid"].numel(), 32);
}

}  // namespace
}  // namespace granule
