#include "train/plan_traffic.h"

#include <gtest/gtest.h>

#include "tests/support/plan_configs.h"

namespace granule {
namespace {

TEST(PlanTraffic, Of16BAnd145BIsTheWorkedOne) {
  const auto small = paper_config("deepseekmoe_16b"), large = paper_config("deepseekmoe_145b");
  const auto of_small = step_traffic(small, paper_cost("deepseekmoe_16b").size, {.ranks = 64, .expert = 8});
  EXPECT_NEAR(of_small.all_to_all / (4 * 27 * 72) / 1e6, 88, 0.1) << "a layer, one way";
  EXPECT_NEAR(of_small.all_to_all / 50e9, 13.7, 0.05);
  // The example's 7.2 GB leave out one of the two embeddings.
  EXPECT_NEAR(of_small.data_parallel / 1e9, 7.2 + 9.8 + 6 * 0.2097 * 63 / 64, 0.06);
  EXPECT_NEAR(of_small.once_per_rank, 0.76, 0.005);
  EXPECT_EQ(of_small.pipeline, 0);
  const PlanLayout layout{.ranks = 512, .pipeline = 8, .expert = 8};
  const auto of_large = step_traffic(large, paper_cost("deepseekmoe_145b").size, layout);
  EXPECT_NEAR(of_large.all_to_all / (4 * 8 * 72) / 1e6, 352, 0.5) << "of the stage with most layers";
}

TEST(PlanTraffic, DataParallelFormulaGivesTheWorked145B) {
  EXPECT_NEAR(data_parallel_bytes({.matrices = 1.51e9}, {64, 8}, 2) / 1e9, 8.9, 0.05);
  EXPECT_NEAR(data_parallel_bytes({.experts = 2.11e9}, {64, 8}, 2) / 1e9, 11.1, 0.05);
}

TEST(PlanTraffic, RecomputationExchangesOnceMore) {
  const auto config = paper_config("deepseekmoe_16b");
  const auto size = paper_cost("deepseekmoe_16b").size;
  const auto kept = step_traffic(config, size, {.ranks = 64, .expert = 8});
  const auto again = step_traffic(config, size, {.ranks = 64, .expert = 8, .recompute = true});
  EXPECT_DOUBLE_EQ(again.all_to_all, 1.5 * kept.all_to_all);
}

TEST(PlanTraffic, OneRankSendsNothing) {
  const auto traffic =
      step_traffic(paper_config("deepseekmoe_16b"), paper_cost("deepseekmoe_16b").size, {.ranks = 1});
  EXPECT_EQ(traffic.all_to_all + traffic.data_parallel + traffic.pipeline, 0);
}

TEST(PlanTraffic, OncePerRankShareIsTheShareOfDistinctRanks) {
  EXPECT_NEAR(once_per_rank_share(128, 12, 8), 0.54, 0.005);
  EXPECT_NEAR(once_per_rank_share(128, 12, 4), 0.32, 0.005);
  EXPECT_DOUBLE_EQ(once_per_rank_share(64, 1, 8), 1);
  EXPECT_DOUBLE_EQ(once_per_rank_share(8, 3, 1), 1.0 / 3);
  // Two of four experts on two ranks: 2 of 6 pairs lie on one rank.
  EXPECT_DOUBLE_EQ(once_per_rank_share(4, 2, 2), (2 * 4.0 / 6 + 1 * 2.0 / 6) / 2);
}

}  // namespace
}  // namespace granule
