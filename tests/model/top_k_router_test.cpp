#include "model/top_k_router.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/support/small_model.h"
#include "tests/support/tensor_compare.h"

namespace granule {
namespace {

constexpr int64_t kWidth = 8;

TopKRouter filled_router(const RouterConfig& config, at::ScalarType dtype = at::kFloat) {
  TopKRouter router(config, kWidth, at::TensorOptions(dtype));
  fill_from_seed(router, 7);
  return router;
}

RouterConfig choosing(int64_t k, int64_t experts) {
  RouterConfig config;
  config.n_routed_experts = experts;
  config.num_experts_per_tok = k;
  return config;
}

TEST(TopKRouter, ChoosesTheKLargestScoresAndKeepsThemRaw) {
  auto router = filled_router(choosing(3, 8));
  const auto x_TD = at::randn({5, kWidth});
  const auto routing = router.route(x_TD, SequenceLayout::rows(1, 5), {});

  const auto score_TE = at::softmax(at::matmul(x_TD, router.named_parameters()["weight"].t()), 1);
  const auto [value_TK, id_TK] = at::topk(score_TE, 3, 1);
  EXPECT_TRUE(routing.chosen_TK.equal(id_TK));
  EXPECT_TENSOR_NEAR(routing.gate_TK, value_TK, 1e-6);
  EXPECT_TENSOR_NEAR(routing.probability_TE.sum(1), at::ones({5}), 1e-6);
}

TEST(TopKRouter, GivesEqualScoresToTheLowerExpert) {
  auto router = filled_router(choosing(3, 8));
  at::NoGradGuard no_grad;
  router.named_parameters()["weight"].zero_();
  const auto routing = router.route(at::randn({2, kWidth}), SequenceLayout::rows(1, 2), {});
  EXPECT_TRUE(routing.chosen_TK.equal(at::tensor({0, 1, 2, 0, 1, 2}, at::kLong).view({2, 3})));
}

TEST(TopKRouter, DividesByTheSumOnlyIfAskedAndForMoreThanOneChoice) {
  auto config = choosing(2, 8);
  config.norm_topk_prob = true;
  config.routed_scaling_factor = 2.5;
  const auto x_TD = at::randn({4, kWidth});
  const auto layout = SequenceLayout::rows(1, 4);
  EXPECT_TENSOR_NEAR(filled_router(config).route(x_TD, layout, {}).gate_TK.sum(1), at::full({4}, 2.5), 1e-5);

  config.num_experts_per_tok = 1;
  config.routed_scaling_factor = 1.0;
  const auto routing = filled_router(config).route(x_TD, layout, {});
  EXPECT_TENSOR_NEAR(routing.gate_TK.squeeze(1), std::get<0>(routing.probability_TE.max(1)), 1e-6);
}

TEST(TopKRouter, SigmoidScoresGateAsTheyAreAndCountAsADistribution) {
  auto config = choosing(2, 8);
  config.scoring_func = "sigmoid";
  auto router = filled_router(config);
  const auto x_TD = at::randn({4, kWidth});
  const auto routing = router.route(x_TD, SequenceLayout::rows(1, 4), {});
  const auto score_TE = at::sigmoid(at::matmul(x_TD, router.named_parameters()["weight"].t()));
  EXPECT_TENSOR_NEAR(routing.gate_TK, score_TE.gather(1, routing.chosen_TK), 1e-6);
  EXPECT_TENSOR_NEAR(routing.probability_TE, score_TE / score_TE.sum(1, true), 1e-6);
}

TEST(TopKRouter, StaysInFp32ForBf16Tokens) {
  auto router = filled_router(choosing(2, 8));
  const auto x_TD = at::randn({6, kWidth}).to(at::kBFloat16);
  const auto layout = SequenceLayout::rows(1, 6);
  const auto low = router.route(x_TD, layout, {});
  const auto full = router.route(x_TD.to(at::kFloat), layout, {});
  EXPECT_EQ(low.gate_TK.scalar_type(), at::kFloat);
  EXPECT_TRUE(low.gate_TK.equal(full.gate_TK));
}

TEST(TopKRouter, SendsPaddingNowhere) {
  auto router = filled_router(choosing(2, 4));
  const auto layout = SequenceLayout::from_segments(at::tensor({0, 0, -1, -1}, at::kLong).view({1, 4}));
  const auto routing = router.route(at::randn({4, kWidth}), layout, {});
  EXPECT_TRUE(routing.expert_TK.narrow(0, 0, 2).ge(0).all().item<bool>());
  EXPECT_TRUE(routing.expert_TK.narrow(0, 2, 2).eq(-1).all().item<bool>());
}

TEST(TopKRouter, ReplaysAFormerChoice) {
  auto router = filled_router(choosing(2, 4));
  const auto chosen_TK = at::tensor({3, 1, 0, 2}, at::kLong).view({2, 2});
  const auto routing = router.route(at::randn({2, kWidth}), SequenceLayout::rows(1, 2), chosen_TK);
  EXPECT_TRUE(routing.expert_TK.equal(chosen_TK));
  EXPECT_TENSOR_NEAR(routing.gate_TK, routing.probability_TE.gather(1, chosen_TK), 1e-7);
}

TEST(TopKRouter, SelectionBiasDecidesTheChoiceAndLeavesGatesAndCountsAlone) {
  auto config = choosing(2, 4);
  config.scoring_func = "sigmoid";
  config.moe_router_enable_expert_bias = true;
  auto router = filled_router(config);
  auto bias_E = router.named_parameters()["e_score_correction_bias"];
  EXPECT_FALSE(bias_E.requires_grad());
  bias_E.copy_(at::tensor({0.0, 0.0, 10.0, 20.0}));
  const auto x_TD = at::randn({5, kWidth});
  const auto routing = router.route(x_TD, SequenceLayout::rows(1, 5), {});
  EXPECT_TRUE(routing.chosen_TK.equal(at::tensor({3, 2}, at::kLong).expand({5, 2})));

  const auto score_TE = at::sigmoid(at::matmul(x_TD, router.named_parameters()["weight"].t()));
  EXPECT_TENSOR_NEAR(routing.gate_TK, score_TE.gather(1, routing.chosen_TK), 1e-6);
  EXPECT_TRUE(routing.counted_TK.equal(std::get<1>(at::topk(score_TE, 2, 1))));
}

TEST(TopKRouter, BiasIsZeroAtFirstAndThenChangesNothing) {
  auto config = choosing(2, 4);
  config.moe_router_enable_expert_bias = true;
  TopKRouter with_bias(config, kWidth, at::kFloat);
  EXPECT_EQ(with_bias.named_parameters()["e_score_correction_bias"].abs().max().item<float>(), 0);
}

TEST(TopKRouter, StaysWithinTheBestGroups) {
  auto config = choosing(3, 8);
  config.topk_method = "group_limited_greedy";
  config.n_group = 4;
  config.topk_group = 2;
  const auto routing = filled_router(config).route(at::randn({40, kWidth}), SequenceLayout::rows(1, 40), {});
  const auto best_T = std::get<1>(routing.probability_TE.max(1));
  EXPECT_TRUE(routing.chosen_TK.select(1, 0).equal(best_T));
  const auto group_TK = routing.chosen_TK.div(2, "floor");
  for (int64_t t = 0; t < 40; ++t) EXPECT_EQ(std::get<0>(at::_unique(group_TK[t])).numel(), 2);
}

TEST(TopKRouter, DroppedChoicesStayChosenAndKeepTheirGates) {
  auto config = choosing(2, 2);
  config.moe_expert_capacity_factor = 0.5;
  const auto chosen_TK = at::tensor({0, 1, 1, 0}, at::kLong).view({2, 2});
  const auto routing =
      filled_router(config).route(at::randn({2, kWidth}), SequenceLayout::rows(1, 2), chosen_TK);
  EXPECT_TRUE(routing.expert_TK.equal(at::tensor({0, -1, 1, -1}, at::kLong).view({2, 2})));
  EXPECT_TRUE(routing.chosen_TK.equal(chosen_TK));
  EXPECT_TENSOR_NEAR(routing.gate_TK, routing.probability_TE.gather(1, chosen_TK), 1e-7);
}

}  // namespace
}  // namespace granule
