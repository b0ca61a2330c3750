#include "model/group_limit.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

namespace granule {
namespace {

constexpr double kOut = -std::numeric_limits<double>::infinity();

RouterConfig grouped(const std::string& method, int64_t groups, int64_t open) {
  RouterConfig config;
  config.topk_method = method;
  config.n_group = groups;
  config.topk_group = open;
  return config;
}

TEST(GroupLimit, ScoresAGroupByItsBestOrByTheSumOfItsBestTwo) {
  const auto score_TE = at::tensor({0.9, 0.0, 0.0, /**/ 0.6, 0.5, 0.0, /**/ 0.4, 0.4, 0.4}).view({1, 9});
  EXPECT_TRUE(limit_to_groups(score_TE, grouped("group_limited_greedy", 3, 1))
                  .equal(at::tensor({0.9, 0.0, 0.0, kOut, kOut, kOut, kOut, kOut, kOut}).view({1, 9})));
  // Sums of the best two: 0.9, 1.1, 0.8 (of all three the last group would have most).
  EXPECT_TRUE(limit_to_groups(score_TE, grouped("noaux_tc", 3, 1))
                  .equal(at::tensor({kOut, kOut, kOut, 0.6, 0.5, 0.0, kOut, kOut, kOut}).view({1, 9})));
  EXPECT_TRUE(limit_to_groups(score_TE, grouped("noaux_tc", 3, 2))
                  .equal(at::tensor({0.9, 0.0, 0.0, 0.6, 0.5, 0.0, kOut, kOut, kOut}).view({1, 9})));
}

TEST(GroupLimit, TiesGoToTheLowerGroupAndNegativeScoresStayInPlay) {
  const auto score_TE = at::tensor({-0.5, -0.2, /**/ -0.2, -0.9, /**/ -0.1, -3.0}).view({1, 6});
  EXPECT_TRUE(limit_to_groups(score_TE, grouped("group_limited_greedy", 3, 2))
                  .equal(at::tensor({-0.5, -0.2, kOut, kOut, -0.1, -3.0}).view({1, 6})));
}

}  // namespace
}  // namespace granule
