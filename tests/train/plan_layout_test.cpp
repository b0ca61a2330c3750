#include "train/plan_layout.h"

#include <gtest/gtest.h>

#include "tests/support/plan_configs.h"

namespace granule {
namespace {

TEST(PlanLayout, ComesFromTheConfig) {
  auto config = paper_config("deepseekmoe_16b", {"parallel.expert=8", "parallel.data=2"});
  const auto own = layout_of_config(config, 0);
  EXPECT_EQ(own.ranks, 16);
  EXPECT_EQ(own.data(), 2);
  EXPECT_TRUE(own.recompute);
  config.parallel.data = 0;
  EXPECT_EQ(layout_of_config(config, 64).data(), 8);
}

TEST(PlanLayout, StagesHoldEveryLayerOnceAndTheFirstNeverMoreThanOthers) {
  const auto model = paper_config("deepseekmoe_16b").model;
  for (const int64_t pipeline : {1, 2, 3, 8, 28}) {
    const auto stages = split_stages(model, pipeline);
    int64_t dense = 0, experts = 0;
    for (const auto& stage : stages) {
      dense += stage.dense_layers;
      experts += stage.expert_layers;
      EXPECT_GE(stage.layers(), stages.front().layers());
      EXPECT_LE(stage.layers(), stages.front().layers() + 1);
    }
    EXPECT_EQ(dense, 1);
    EXPECT_EQ(experts, 27);
    EXPECT_TRUE(stages.front().first && stages.back().last);
  }
}

TEST(PlanLayout, NamesWhatDoesNotFit) {
  const auto config = paper_config("deepseekmoe_16b");
  const auto fault = [&](PlanLayout layout) { return layout_fault(config, layout); };
  EXPECT_EQ(fault({.ranks = 64, .expert = 8}), "");
  EXPECT_EQ(fault({.ranks = 64, .pipeline = 3}), "3 stages do not divide 64 ranks");
  EXPECT_EQ(fault({.ranks = 32, .pipeline = 32}), "32 stages, but 28 layers");
  EXPECT_EQ(fault({.ranks = 6, .pipeline = 2, .expert = 2}),
            "2 expert ranks do not divide the 3 ranks of a stage");
  EXPECT_EQ(fault({.ranks = 3, .expert = 3}), "3 expert ranks do not divide 64 routed experts");
  EXPECT_EQ(fault({.ranks = 64, .expert = 8, .micro_batch_size = 5}),
            "a global batch of 4608 is no multiple of 320 = 64 readers x micro-batch 5");
  EXPECT_EQ(layout_fault(paper_config("deepseek_7b"), {.ranks = 2, .expert = 2}),
            "expert ranks without routed experts");
}

TEST(PlanLayout, MicroBatchesFillTheGlobalBatch) {
  const auto config = paper_config("deepseekmoe_16b");
  EXPECT_EQ(num_micro_batches(config, {.ranks = 64, .expert = 8}), 72);
  EXPECT_EQ(num_micro_batches(config, {.ranks = 512, .pipeline = 8, .expert = 8, .micro_batch_size = 2}), 36);
}

}  // namespace
}  // namespace granule
