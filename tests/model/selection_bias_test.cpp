#include "model/selection_bias.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "base/check.h"
#include "model/routing_statistics.h"
#include "model/top_k_router.h"
#include "model/transformer.h"
#include "tests/support/small_model.h"
#include "tests/support/tensor_compare.h"

namespace granule {
namespace {

ModelConfig biased() {
  auto config = small_config();
  config.router.moe_router_enable_expert_bias = true;
  config.router.scoring_func = "sigmoid";
  return config;
}

std::vector<RoutingStatistics> loads(std::vector<at::Tensor> chosen) {
  std::vector<RoutingStatistics> routing;
  for (auto& chosen_E : chosen) {
    routing.push_back({.count_C = at::cat({chosen_E, chosen_E, at::zeros({1}, at::kLong)})});
  }
  return routing;
}

at::Tensor bias_of(const Transformer& model, int64_t layer) {
  return model
      .named_parameters()["model.layers." + std::to_string(layer) + ".mlp.gate.e_score_correction_bias"];
}

TEST(SelectionBias, MovesByTheRateAgainstTheLoadOfItsOwnLayer) {
  Transformer model(biased(), alone(), at::kFloat);
  model.initialize(1);
  const auto first = at::tensor({3, 1, 2, 2, 2, 2, 2, 2}, at::kLong);  // mean exactly 2
  const auto second = at::tensor({8, 0, 0, 0, 0, 0, 0, 0}, at::kLong);
  update_selection_bias(model, loads({first, second}), 0.5);
  EXPECT_TRUE(bias_of(model, 1).equal(at::tensor({-0.5f, 0.5f, 0.f, 0.f, 0.f, 0.f, 0.f, 0.f})));
  EXPECT_TRUE(bias_of(model, 2).equal(at::tensor({-0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f})));
  update_selection_bias(model, loads({first, first}), 0.5);
  EXPECT_TRUE(bias_of(model, 1).equal(at::tensor({-1.f, 1.f, 0.f, 0.f, 0.f, 0.f, 0.f, 0.f})));
}

TEST(SelectionBias, NeedsTheCountsOfEveryLayer) {
  Transformer model(biased(), alone(), at::kFloat);
  model.initialize(1);
  EXPECT_THROW(update_selection_bias(model, loads({at::ones({8}, at::kLong)}), 0.5), std::logic_error);
}

TEST(SelectionBias, EvensOutASkewedRouter) {
  RouterConfig config{.n_routed_experts = 8, .num_experts_per_tok = 2, .scoring_func = "sigmoid"};
  config.moe_router_enable_expert_bias = true;
  TopKRouter router(config, 8, at::kFloat);
  fill_from_seed(router, 4, 0.5);
  router.named_parameters()[kSelectionBias].zero_();
  const int64_t T = 512, mean = T * 2 / 8;
  const auto x_TD =
      at::randn({T, 8}) + at::randn({8});  // what all tokens have in common favours some experts
  const auto busiest = [&] {
    const auto layout = SequenceLayout::rows(1, T);
    const auto statistics = summarize(router.route(x_TD, layout, {}), layout, {});
    update_selection_bias(router, {statistics}, 0.01);
    return statistics.chosen_E().max().item<int64_t>();
  };
  EXPECT_GT(busiest(), mean * 3 / 2);
  for (int step = 0; step < 100; ++step) busiest();
  EXPECT_LT(busiest(), mean * 5 / 4);
}

}  // namespace
}  // namespace granule
