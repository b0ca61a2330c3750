#include "train/expert_statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace granule {
namespace {

TEST(ExpertStatistics, OfEvenUseAreOneAndZero) {
  const std::vector<int64_t> count_E = {6, 6, 6, 6};
  const auto statistics = expert_statistics(count_E, 0, 12 * std::log(4.0), 12);
  EXPECT_DOUBLE_EQ(statistics.load_imbalance, 1);
  EXPECT_DOUBLE_EQ(statistics.max_violation, 0);
  EXPECT_DOUBLE_EQ(statistics.entropy, std::log(4.0));
  EXPECT_DOUBLE_EQ(statistics.dropped_fraction, 0);
}

TEST(ExpertStatistics, OfOneExpertTakingAllAreTheNumberOfExperts) {
  const std::vector<int64_t> count_E = {0, 0, 10, 0, 0};
  const auto statistics = expert_statistics(count_E, 0, 0, 10);
  EXPECT_DOUBLE_EQ(statistics.load_imbalance, 5);
  EXPECT_DOUBLE_EQ(statistics.max_violation, 4);
  EXPECT_DOUBLE_EQ(statistics.entropy, 0);
}

TEST(ExpertStatistics, DroppedFractionIsOfAllChoices) {
  const std::vector<int64_t> count_E = {5, 1};  // 3 choices of 9 found no room
  const auto statistics = expert_statistics(count_E, 3, 4.5, 9);
  EXPECT_DOUBLE_EQ(statistics.load_imbalance, 5.0 / 3.0);
  EXPECT_DOUBLE_EQ(statistics.max_violation, 2.0 / 3.0);
  EXPECT_DOUBLE_EQ(statistics.dropped_fraction, 3.0 / 9.0);
  EXPECT_DOUBLE_EQ(statistics.entropy, 0.5);
}

TEST(ExpertStatistics, WithoutTokensAreZeroAndFinite) {
  const auto statistics = expert_statistics(std::vector<int64_t>{0, 0}, 0, 0, 0);
  EXPECT_EQ(statistics.load_imbalance, 0);
  EXPECT_EQ(statistics.max_violation, 0);
  EXPECT_EQ(statistics.entropy, 0);
  EXPECT_EQ(statistics.dropped_fraction, 0);
}

TEST(ExpertStatistics, WithEverythingDroppedAreFinite) {
  const auto statistics = expert_statistics(std::vector<int64_t>{0, 0}, 4, 2, 4);
  EXPECT_EQ(statistics.load_imbalance, 0);
  EXPECT_EQ(statistics.dropped_fraction, 1);
}

TEST(ExpertStatistics, RefuseWhatCannotBe) {
  EXPECT_THROW(expert_statistics({}, 0, 0, 1), std::logic_error);
  EXPECT_THROW(expert_statistics(std::vector<int64_t>{1}, -1, 0, 1), std::logic_error);
}

}  // namespace
}  // namespace granule
