#include "model/model_size.h"

#include <gtest/gtest.h>

#include "tests/support/small_model.h"

namespace granule {
namespace {

TEST(ModelSize, IsThePublished16BToTheLastParameter) {
  const auto config = published_16b_config();
  const Transformer model(config, alone(), at::kBFloat16, at::kMeta);
  const auto size = measure_size(model);
  EXPECT_EQ(size.total(), 16'375'728'128);
  EXPECT_NEAR(static_cast<double>(size.activated()), 2.829e9, 0.0005e9);
}

TEST(ModelSize, CountsEveryElementOfASmallModelOnce) {
  const Transformer model(small_config(), alone(), at::kFloat, at::kMeta);
  int64_t elements = 0;
  for (const auto& parameter : model.parameters()) elements += parameter.numel();
  const auto size = measure_size(model);
  EXPECT_EQ(size.total(), elements);
  EXPECT_EQ(size.routed_activated * 8, size.routed * 3);
}

TEST(ModelSize, LeavesOutWhatNoGradientMoves) {
  auto config = small_config();
  const auto without = measure_size(Transformer(config, alone(), at::kFloat, at::kMeta));
  config.router.moe_router_enable_expert_bias = true;
  EXPECT_EQ(measure_size(Transformer(config, alone(), at::kFloat, at::kMeta)).total(), without.total());
  config.router = {.moe_router_type = "hash", .n_routed_experts = 8};
  EXPECT_EQ(measure_size(Transformer(config, alone(), at::kFloat, at::kMeta)).router, 0);
}

}  // namespace
}  // namespace granule
