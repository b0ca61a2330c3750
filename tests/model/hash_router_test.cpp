#include "model/hash_router.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace granule {
namespace {

HashRouter router_with_table(RouterConfig config, const at::Tensor& table_V) {
  config.moe_router_type = "hash";
  HashRouter router(config, table_V.numel(), at::kFloat);
  router.named_parameters()["tid2eid"].copy_(table_V);
  return router;
}

SequenceLayout with_tokens(SequenceLayout layout, at::ArrayRef<int64_t> ids) {
  layout.token_T = at::tensor(ids, at::kLong);
  return layout;
}

TEST(HashRouter, RoutesByTheTableAloneWithWeightOne) {
  const auto router = router_with_table({.n_routed_experts = 3}, at::tensor({2, 0, 1, 1}, at::kLong));
  const auto layout = with_tokens(SequenceLayout::rows(1, 5), {3, 0, 0, 1, 2});
  const auto routing = router.route(at::randn({5, 8}), layout, {});
  EXPECT_TRUE(routing.chosen_TK.equal(at::tensor({1, 2, 2, 0, 1}, at::kLong).unsqueeze(1)));
  EXPECT_TRUE(routing.expert_TK.equal(routing.chosen_TK));
  EXPECT_TRUE(routing.gate_TK.equal(at::ones({5, 1})));
  EXPECT_TRUE(routing.probability_TE.equal(at::one_hot(routing.chosen_TK.squeeze(1), 3).to(at::kFloat)));
  EXPECT_FALSE(routing.logit_TE.defined());
}

TEST(HashRouter, SendsPaddingNowhereDropsOverCapacityAndScales) {
  const auto router = router_with_table(
      {.n_routed_experts = 2, .routed_scaling_factor = 2.0, .moe_expert_capacity_factor = 1.0},
      at::zeros({4}));
  const auto layout = with_tokens(
      SequenceLayout::from_segments(at::tensor({0, 0, 0, 0, -1}, at::kLong).view({1, 5})), {0, 1, 2, 3, 3});
  const auto routing = router.route(at::randn({5, 8}), layout, {});
  EXPECT_TRUE(routing.chosen_TK.equal(at::tensor({0, 0, 0, 0, -1}, at::kLong).unsqueeze(1)));
  EXPECT_TRUE(routing.expert_TK.equal(at::tensor({0, 0, -1, -1, -1}, at::kLong).unsqueeze(1)));
  EXPECT_TRUE(routing.gate_TK.eq(2).all().item<bool>());
}

TEST(HashRouter, NeedsTokenIds) {
  const auto router = router_with_table({.n_routed_experts = 2}, at::zeros({4}));
  EXPECT_THROW(router.route(at::randn({5, 8}), SequenceLayout::rows(1, 5), {}), std::logic_error);
}

}  // namespace
}  // namespace granule
