#include "train/metric_record.h"

#include <gtest/gtest.h>

namespace granule {
namespace {

TEST(MetricRecord, KeepsOrderAndFindsByName) {
  MetricRecord metrics;
  metrics.add(metric::kLoss, 2.5);
  metrics.add(metric::kGradNorm, 0.5);
  ASSERT_EQ(metrics.values.size(), 2u);
  EXPECT_EQ(metrics.values[0].first, "lm loss");
  EXPECT_EQ(metrics.values[1].first, "grad-norm");
  ASSERT_NE(metrics.find("grad-norm"), nullptr);
  EXPECT_EQ(*metrics.find("grad-norm"), 0.5);
  EXPECT_EQ(metrics.find("lm"), nullptr);
}

TEST(MetricRecord, NamesLayersWithTwoDigits) {
  MetricRecord metrics;
  metrics.add_experts(3,
                      {.load_imbalance = 1.5, .max_violation = 0.5, .entropy = 2, .dropped_fraction = 0.25});
  const int64_t count_E[] = {4, 0, 8};
  metrics.add_expert_counts(12, count_E);
  EXPECT_EQ(*metrics.find("moe/layer_03/load_imbalance"), 1.5);
  EXPECT_EQ(*metrics.find("moe/layer_03/max_violation"), 0.5);
  EXPECT_EQ(*metrics.find("moe/layer_03/entropy"), 2);
  EXPECT_EQ(*metrics.find("moe/layer_03/dropped_fraction"), 0.25);
  ASSERT_EQ(metrics.counts.size(), 1u);
  EXPECT_EQ(metrics.counts[0].first, "moe/layer_12/tokens_per_expert");
  EXPECT_EQ(metrics.counts[0].second, (std::vector<int64_t>{4, 0, 8}));
}

}  // namespace
}  // namespace granule
