#include "model/routing_intervention.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "base/check.h"
#include "model/moe.h"
#include "tests/support/naive_moe.h"
#include "tests/support/small_model.h"
#include "tests/support/tensor_compare.h"

namespace granule {
namespace {

struct Case {
  std::string name;
  RoutingIntervention intervention;
  void (*change)(RouterConfig&) = [](RouterConfig&) {};
};

void as_v3_of_two(RouterConfig& router) {
  as_v3(router);
  router.num_experts_per_tok = 2;
}

class InterventionAgainstTwin : public testing::TestWithParam<Case> {};

TEST_P(InterventionAgainstTwin, OutputAndChoice) {
  auto config = small_config();
  GetParam().change(config.router);
  config.check();
  check_intervention(config.router, GetParam().intervention);
  Moe layer(config, alone(), at::kDouble, at::kDouble);
  fill_from_seed(layer, 4);
  std::vector<Routing> routings;
  ForwardContext context{
      SequenceLayout::from_segments(at::tensor({0, 0, 0, 1, 1, -1}, at::kLong).view({1, 6}))};
  context.intervention = GetParam().intervention;
  context.routings = &routings;
  const auto x_TD = at::randn({6, config.hidden_size}, at::kDouble);

  const auto output = layer.forward(x_TD, context, {});
  const auto twin = naive_moe(layer, config, x_TD, context);
  EXPECT_TENSOR_NEAR(output.y_TD.narrow(0, 0, 5), twin.y_TD.narrow(0, 0, 5), 1e-12);
  ASSERT_EQ(routings.size(), 1u);
  for (int64_t t = 0; t < 5; ++t) {
    EXPECT_TRUE(routings[0].chosen_TK[t].equal(at::tensor(twin.experts[static_cast<size_t>(t)], at::kLong)));
  }
  EXPECT_TRUE(routings[0].chosen_TK[5].eq(-1).all().item<bool>());
}

INSTANTIATE_TEST_SUITE_P(
    All, InterventionAgainstTwin,
    testing::Values(
        Case{"Nothing", {}},  //
        Case{"TopDisabled", {.num_disabled = 2}}, Case{"AllThatCanBeDisabled", {.num_disabled = 5}},
        Case{"FewerChosen", {.num_chosen = 1}}, Case{"MoreChosen", {.num_chosen = 6}},
        Case{"SharedReplaced", {.num_chosen = 4, .shared_experts = false}},
        Case{"SharedLeftOut", {.shared_experts = false}},
        Case{"DisabledAndFewer", {.num_disabled = 3, .num_chosen = 2}},
        Case{"NormalisedOverTheNewNumber", {.num_chosen = 1}, [](auto& r) { r.norm_topk_prob = true; }},
        Case{"RawAsTrainedOverMore",
             {.num_chosen = 2},
             [](auto& r) {
               r.norm_topk_prob = true;
               r.num_experts_per_tok = 1;
             }},
        Case{"WithCapacity",
             {.num_disabled = 1, .num_chosen = 2},
             [](auto& r) { r.moe_expert_capacity_factor = 0.7; }},
        Case{"BiasRanks", {.num_disabled = 1}, [](auto& r) { r.moe_router_enable_expert_bias = true; }},
        Case{"V3WithinItsGroups", {.num_disabled = 1, .num_chosen = 3}, as_v3_of_two}),
    [](const auto& info) { return info.param.name; });

TEST(RoutingIntervention, DisabledExpertsAreTheFirstOfEachTokensRanking) {
  Routing routing;
  routing.merit_TE = at::tensor({0.1, 0.4, 0.2, 0.3, 0.4, 0.3, 0.2, 0.1}).view({2, 4});
  routing.chosen_TK = at::tensor({1, 3, 0, 1}, at::kLong).view({2, 2});
  EXPECT_TRUE(
      changed_choice(routing, {.num_disabled = 1}).equal(at::tensor({3, 2, 1, 2}, at::kLong).view({2, 2})));
}

TEST(RoutingIntervention, IsRefusedWhereItMeansNothing) {
  auto router = small_config().router;  // 3 of 8
  EXPECT_NO_THROW(check_intervention(router, {.num_disabled = 5}));
  EXPECT_THROW(check_intervention(router, {.num_disabled = 6}), ConfigError);
  EXPECT_THROW(check_intervention(router, {.num_chosen = 9}), ConfigError);
  as_v3_of_two(router);  // 2 groups of 2 in reach
  EXPECT_NO_THROW(check_intervention(router, {.num_disabled = 2}));
  EXPECT_THROW(check_intervention(router, {.num_disabled = 3}), ConfigError);
  RouterConfig hash;
  hash.moe_router_type = "hash";
  hash.n_routed_experts = 8;
  EXPECT_NO_THROW(check_intervention(hash, {.shared_experts = false}));
  EXPECT_THROW(check_intervention(hash, {.num_disabled = 1}), ConfigError);
}

}  // namespace
}  // namespace granule
