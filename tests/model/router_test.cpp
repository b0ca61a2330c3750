#include "model/router.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "base/check.h"
#include "tests/support/small_model.h"
#include "tests/support/tensor_compare.h"

namespace granule {
namespace {

constexpr int64_t kWidth = 8;

Router make_router(const RouterConfig& config, at::ScalarType dtype = at::kFloat) {
  Router router(config, kWidth, at::TensorOptions(dtype));
  fill_from_seed(router, 7);
  return router;
}

RouterConfig choosing(int64_t k, int64_t experts) {
  RouterConfig config;
  config.n_routed_experts = experts;
  config.num_experts_per_tok = k;
  return config;
}

TEST(Router, ChoosesTheKLargestScoresAndKeepsThemRaw) {
  auto router = make_router(choosing(3, 8));
  const auto x_TD = at::randn({5, kWidth});
  const auto routing = router.route(x_TD, SequenceLayout::rows(1, 5), {});

  const auto score_TE = at::softmax(at::matmul(x_TD, router.named_parameters()["weight"].t()), 1);
  const auto [value_TK, id_TK] = at::topk(score_TE, 3, 1);
  EXPECT_TRUE(routing.chosen_TK.equal(id_TK));
  EXPECT_TENSOR_NEAR(routing.gate_TK, value_TK, 1e-6);
  EXPECT_TENSOR_NEAR(routing.probability_TE.sum(1), at::ones({5}), 1e-6);
}

TEST(Router, GivesEqualScoresToTheLowerExpert) {
  auto router = make_router(choosing(3, 8));
  at::NoGradGuard no_grad;
  router.named_parameters()["weight"].zero_();
  const auto routing = router.route(at::randn({2, kWidth}), SequenceLayout::rows(1, 2), {});
  EXPECT_TRUE(routing.chosen_TK.equal(at::tensor({0, 1, 2, 0, 1, 2}, at::kLong).view({2, 3})));
}

TEST(Router, DividesByTheSumOnlyIfAskedAndForMoreThanOneChoice) {
  auto config = choosing(2, 8);
  config.norm_topk_prob = true;
  config.routed_scaling_factor = 2.5;
  const auto x_TD = at::randn({4, kWidth});
  const auto layout = SequenceLayout::rows(1, 4);
  EXPECT_TENSOR_NEAR(make_router(config).route(x_TD, layout, {}).gate_TK.sum(1), at::full({4}, 2.5), 1e-5);

  config.num_experts_per_tok = 1;
  config.routed_scaling_factor = 1.0;
  const auto routing = make_router(config).route(x_TD, layout, {});
  EXPECT_TENSOR_NEAR(routing.gate_TK.squeeze(1), std::get<0>(routing.probability_TE.max(1)), 1e-6);
}

TEST(Router, SigmoidScoresGateAsTheyAreAndCountAsADistribution) {
  auto config = choosing(2, 8);
  config.scoring_func = "sigmoid";
  auto router = make_router(config);
  const auto x_TD = at::randn({4, kWidth});
  const auto routing = router.route(x_TD, SequenceLayout::rows(1, 4), {});
  const auto score_TE = at::sigmoid(at::matmul(x_TD, router.named_parameters()["weight"].t()));
  EXPECT_TENSOR_NEAR(routing.gate_TK, score_TE.gather(1, routing.chosen_TK), 1e-6);
  EXPECT_TENSOR_NEAR(routing.probability_TE, score_TE / score_TE.sum(1, true), 1e-6);
}

TEST(Router, StaysInFp32ForBf16Tokens) {
  auto router = make_router(choosing(2, 8));
  const auto x_TD = at::randn({6, kWidth}).to(at::kBFloat16);
  const auto layout = SequenceLayout::rows(1, 6);
  const auto low = router.route(x_TD, layout, {});
  const auto full = router.route(x_TD.to(at::kFloat), layout, {});
  EXPECT_EQ(low.gate_TK.scalar_type(), at::kFloat);
  EXPECT_TRUE(low.gate_TK.equal(full.gate_TK));
}

TEST(Router, SendsPaddingNowhere) {
  auto router = make_router(choosing(2, 4));
  const auto layout = SequenceLayout::from_segments(at::tensor({0, 0, -1, -1}, at::kLong).view({1, 4}));
  const auto routing = router.route(at::randn({4, kWidth}), layout, {});
  EXPECT_TRUE(routing.expert_TK.narrow(0, 0, 2).ge(0).all().item<bool>());
  EXPECT_TRUE(routing.expert_TK.narrow(0, 2, 2).eq(-1).all().item<bool>());
}

TEST(Router, ReplaysAFormerChoice) {
  auto router = make_router(choosing(2, 4));
  const auto chosen_TK = at::tensor({3, 1, 0, 2}, at::kLong).view({2, 2});
  const auto routing = router.route(at::randn({2, kWidth}), SequenceLayout::rows(1, 2), chosen_TK);
  EXPECT_TRUE(routing.expert_TK.equal(chosen_TK));
  EXPECT_TENSOR_NEAR(routing.gate_TK, routing.probability_TE.gather(1, chosen_TK), 1e-7);
}

TEST(Router, CapacityTakesAllFirstChoicesBeforeAnySecondAndCountsPerSequence) {
  auto config = choosing(2, 2);
  config.moe_expert_capacity_factor = 0.5;  // 2 tokens a sequence: ceil(0.5 * 2 * 2 / 2) = 1 place an expert
  auto router = make_router(config);
  const auto chosen_TK = at::tensor({0, 1, 1, 0, /**/ 0, 1, 0, 1}, at::kLong).view({4, 2});
  const auto routing = router.route(at::randn({4, kWidth}), SequenceLayout::rows(2, 2), chosen_TK);
  // First sequence: both first choices fill both experts. Second: token 0 takes expert 0, its second choice expert 1.
  EXPECT_TRUE(routing.expert_TK.equal(at::tensor({0, -1, 1, -1, /**/ 0, 1, -1, -1}, at::kLong).view({4, 2})));
  EXPECT_TRUE(routing.chosen_TK.equal(chosen_TK));
}

TEST(Router, RefusesMoreChoicesThanExperts) {
  EXPECT_THROW(choosing(5, 4).check(), ConfigError);
}

}  // namespace
}  // namespace granule
