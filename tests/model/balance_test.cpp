#include "model/balance.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/check.h"
#include "tests/support/tensor_compare.h"

namespace granule {
namespace {

Routing routing_of(const at::Tensor& probability_TE, const at::Tensor& chosen_TK) {
  Routing routing;
  routing.chosen_TK = routing.expert_TK = routing.counted_TK = chosen_TK;
  routing.probability_TE = probability_TE;
  return routing;
}

ExpertLoad load_of(const Routing& routing, const SequenceLayout& layout, LoadScope scope,
                   int64_t num_groups = 0) {
  const ForwardContext context{layout, 1.0 / static_cast<double>(layout.num_sequences),
                               1.0 / static_cast<double>(layout.valid_T.sum().item<int64_t>())};
  return expert_load(routing, context, scope, count_choices(routing, layout, scope, num_groups));
}

// 8 tokens that choose 2 of 8 experts so that every expert, every pair of neighbours and every group has the
// same, each token reaching two of four groups of two.
Routing even_routing() {
  const auto t = at::arange(8);
  return routing_of(at::full({8, 8}, 1.0 / 8, at::kDouble), at::stack({t, (t + 2).remainder(8)}, 1));
}

constexpr LoadScope kScopes[] = {LoadScope::kSequence, LoadScope::kBatch};

TEST(BalanceLosses, AreExactlyOneUnderUniformRoutingWhateverTheScope) {
  for (const auto scope : kScopes) {
    const auto load = load_of(even_routing(), SequenceLayout::rows(1, 8), scope, 4);
    EXPECT_DOUBLE_EQ(expert_balance_loss(load).item<double>(), 1.0);
    EXPECT_DOUBLE_EQ(device_balance_loss(load, 4).item<double>(), 1.0);
    EXPECT_DOUBLE_EQ(device_balance_loss(load, 2).item<double>(), 1.0);
    EXPECT_DOUBLE_EQ(communication_balance_loss(load, 2).item<double>(), 1.0);
  }
}

TEST(BalanceLosses, OfTheConfigAreTheCoefficientsUnderUniformRouting) {
  const BalanceConfig balance{.moe_aux_loss_coeff = 0.01,
                              .n_device_groups = 2,
                              .moe_device_aux_loss_coeff = 0.05,
                              .moe_comm_aux_loss_coeff = 0.02,
                              .moe_z_loss_coeff = 0.001};
  RouterConfig router{.n_routed_experts = 8, .num_experts_per_tok = 2};
  router.n_group = 4;
  router.topk_group = 2;
  auto routing = even_routing();
  routing.logit_TE = at::zeros({8, 8}, at::kDouble);
  const ForwardContext context{SequenceLayout::rows(1, 8), 1.0, 1.0 / 8};
  const auto count_sC = count_choices(routing, context.layout, balance.scope(), 4);
  const auto losses = balance_losses(balance, router, routing, context, count_sC);
  const double z = std::pow(std::log(8.0), 2);
  EXPECT_NEAR(losses.z.item<double>(), z, 1e-14);
  EXPECT_NEAR(total_loss(balance, losses).item<double>(), 0.01 + 0.05 + 0.02 + 0.001 * z, 1e-14);
}

TEST(BalanceLosses, OfTypeNoneLeaveOnlyTheZLoss) {
  BalanceConfig balance{.moe_router_load_balancing_type = "none",
                        .moe_aux_loss_coeff = 0.01,
                        .n_device_groups = 2,
                        .moe_device_aux_loss_coeff = 0.05};
  auto routing = even_routing();
  routing.logit_TE = at::zeros({8, 8}, at::kDouble);
  const ForwardContext context{SequenceLayout::rows(1, 8), 1.0, 1.0 / 8};
  const auto count_sC = count_choices(routing, context.layout, balance.scope(), 0);
  const auto losses = balance_losses(balance, {}, routing, context, count_sC);
  EXPECT_DOUBLE_EQ(losses.expert.item<double>(), 1.0);  // to be logged
  EXPECT_FALSE(total_loss(balance, losses).defined());
  balance.moe_z_loss_coeff = 1;
  EXPECT_TRUE(total_loss(balance, balance_losses(balance, {}, routing, context, count_sC)).defined());
}

TEST(ExpertBalanceLoss, IsEWhenEverythingGoesToOneExpertWithCertainty) {
  auto probability_TE = at::zeros({6, 4}, at::kDouble);
  probability_TE.select(1, 2).fill_(1);
  const auto routing = routing_of(probability_TE, at::full({6, 1}, 2, at::kLong));
  for (const auto scope : kScopes) {
    EXPECT_DOUBLE_EQ(expert_balance_loss(load_of(routing, SequenceLayout::rows(1, 6), scope)).item<double>(),
                     4.0);
  }
}

TEST(ExpertBalanceLoss, GradientIsTheFrequencyOverTheTokens) {
  const int64_t T = 5, E = 3;
  const auto probability_TE = at::softmax(at::randn({T, E}, at::kDouble), 1).detach().requires_grad_();
  const auto chosen_TK = at::tensor({0, 0, 1, 0, 2}, at::kLong).unsqueeze(1);
  const auto load =
      load_of(routing_of(probability_TE, chosen_TK), SequenceLayout::rows(1, T), LoadScope::kSequence);
  expert_balance_loss(load).backward();
  const auto frequency_E = at::tensor({3.0, 1.0, 1.0}, at::kDouble) * (3.0 / T);
  EXPECT_TENSOR_NEAR(probability_TE.grad(), (frequency_E / T).expand({T, E}), 1e-12);
}

TEST(ExpertBalanceLoss, TellsImbalanceWithinSequencesFromThatOverTheBatch) {
  // Each sequence has an expert of its own: one-sided by sequence, even over the batch.
  const auto probability_TE = at::eye(2, at::kDouble).repeat_interleave(3, 0);
  const auto routing = routing_of(probability_TE, at::tensor({0, 0, 0, 1, 1, 1}, at::kLong).unsqueeze(1));
  const auto layout = SequenceLayout::rows(2, 3);
  EXPECT_DOUBLE_EQ(expert_balance_loss(load_of(routing, layout, LoadScope::kSequence)).item<double>(), 2.0);
  EXPECT_DOUBLE_EQ(expert_balance_loss(load_of(routing, layout, LoadScope::kBatch)).item<double>(), 1.0);
}

TEST(DeviceBalanceLoss, SeesGroupsAndNotTheExpertsWithin) {
  // Experts 0 and 2 take all, but the groups {0, 1} and {2, 3} are even.
  auto probability_TE = at::zeros({4, 4}, at::kDouble);
  probability_TE.select(1, 0).fill_(0.5);
  probability_TE.select(1, 2).fill_(0.5);
  auto routing = routing_of(probability_TE, at::tensor({0, 2, 0, 2}, at::kLong).unsqueeze(1));
  const auto layout = SequenceLayout::rows(1, 4);
  EXPECT_DOUBLE_EQ(device_balance_loss(load_of(routing, layout, LoadScope::kSequence), 2).item<double>(),
                   1.0);
  EXPECT_DOUBLE_EQ(expert_balance_loss(load_of(routing, layout, LoadScope::kSequence)).item<double>(), 2.0);
  routing.counted_TK = at::zeros({4, 1}, at::kLong);
  probability_TE.zero_().select(1, 1).fill_(1.0);
  EXPECT_DOUBLE_EQ(device_balance_loss(load_of(routing, layout, LoadScope::kSequence), 2).item<double>(),
                   2.0);
}

TEST(CommunicationBalanceLoss, CountsATokenOnceForEachGroupItReaches) {
  // Both experts of every token in one group, groups evenly: half of the two groups it might reach.
  const auto first = at::arange(4) * 2;
  const auto routing = routing_of(at::full({4, 8}, 1.0 / 8, at::kDouble), at::stack({first, first + 1}, 1));
  const auto load = load_of(routing, SequenceLayout::rows(1, 4), LoadScope::kSequence, 4);
  EXPECT_DOUBLE_EQ(communication_balance_loss(load, 2).item<double>(), 0.5);
  EXPECT_DOUBLE_EQ(communication_balance_loss(load, 1).item<double>(), 1.0);
}

TEST(RouterZLoss, IsTheMeanSquareOfTheLogSumWithoutPadding) {
  const auto layout = SequenceLayout::from_segments(at::tensor({0, 0, -1}, at::kLong).view({1, 3}));
  auto logit_TE = at::randn({3, 4}, at::kDouble).requires_grad_();
  const auto loss = router_z_loss(logit_TE, layout, 0.5);
  double expected = 0;
  for (int64_t t = 0; t < 2; ++t) {
    double sum = 0;
    for (int64_t e = 0; e < 4; ++e) sum += std::exp(logit_TE[t][e].item<double>());
    expected += std::pow(std::log(sum), 2) / 2;
  }
  EXPECT_NEAR(loss.item<double>(), expected, 1e-12);
  loss.backward();
  EXPECT_EQ(logit_TE.grad()[2].abs().max().item<double>(), 0);
  EXPECT_GT(logit_TE.grad()[1].abs().max().item<double>(), 0);
}

TEST(BalanceConfig, RefusesWhatMeansNothing) {
  const RouterConfig routed{.n_routed_experts = 8, .num_experts_per_tok = 2};
  auto hash = routed;
  hash.moe_router_type = "hash";
  const auto check = [](BalanceConfig balance, const RouterConfig& router) { balance.check(router); };
  EXPECT_NO_THROW(check({.moe_aux_loss_coeff = 1}, routed));
  EXPECT_THROW(check({.moe_aux_loss_coeff = 1}, {}), ConfigError);
  EXPECT_THROW(check({.moe_z_loss_coeff = 1}, {}), ConfigError);
  EXPECT_THROW(check({.moe_aux_loss_coeff = 1}, hash), ConfigError);
  EXPECT_THROW(check({.moe_z_loss_coeff = 1}, hash), ConfigError);
  EXPECT_THROW(check({.n_device_groups = 3}, routed), ConfigError);
  EXPECT_THROW(check({.moe_device_aux_loss_coeff = 1}, routed), ConfigError);
  EXPECT_THROW(check({.n_device_groups = 1, .moe_device_aux_loss_coeff = 1}, routed), ConfigError);
  EXPECT_NO_THROW(check({.n_device_groups = 4, .moe_device_aux_loss_coeff = 1}, routed));
  EXPECT_THROW(check({.moe_comm_aux_loss_coeff = 1}, routed), ConfigError);
  const auto check_training = [](BalanceConfig balance) { balance.check_training(); };
  EXPECT_NO_THROW(check_training({.moe_aux_loss_coeff = 1}));
  EXPECT_NO_THROW(check_training({.moe_router_load_balancing_type = "none", .moe_z_loss_coeff = 1}));
  EXPECT_THROW(check_training({.moe_router_load_balancing_type = "none", .moe_aux_loss_coeff = 1}),
               ConfigError);
  EXPECT_THROW(check_training({.moe_router_load_balancing_type = "none", .moe_device_aux_loss_coeff = 1}),
               ConfigError);
}

}  // namespace
}  // namespace granule
