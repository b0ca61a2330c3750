#include "ops/top_k.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/support/naive_ops.h"

namespace granule {
namespace {

TEST(TopK, EqualsAStableSortOfEachRow) {
  at::manual_seed(2);
  for (const auto& [T, E, K] :
       {std::array<int64_t, 3>{1, 1, 1}, {40, 64, 6}, {9, 7, 7}, {100, 17, 1}, {0, 4, 2}}) {
    for (const auto dtype : {at::kFloat, at::kDouble}) {
      const auto score_TE = at::randn({T, E}, dtype);
      EXPECT_TRUE(top_k_ids(score_TE, K).equal(naive_top_k_ids(score_TE, K)));
    }
  }
}

TEST(TopK, GivesEqualScoresToTheLowerId) {
  const auto score_TE = at::randint(0, 3, {200, 20}, at::kFloat);
  EXPECT_TRUE(top_k_ids(score_TE, 8).equal(naive_top_k_ids(score_TE, 8)));
}

TEST(TopK, TakesNanForTheLowestValue) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  const auto score_TE = at::tensor({nan, -inf, 1.0f, nan, inf}).view({1, 5});
  EXPECT_TRUE(top_k_ids(score_TE, 5).equal(at::tensor({4, 2, 1, 0, 3}, at::kLong).view({1, 5})));
}

}  // namespace
}  // namespace granule
