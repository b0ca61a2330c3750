#include "optim/lr_schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace granule {
namespace {

TEST(LrSchedule, WarmUpMovesAtTheFirstUpdateAndEndsAtThePeak) {
  const LrSchedule schedule({.lr_decay_style = "constant", .lr_warmup_iters = 4}, 0.8, 0, 100);
  EXPECT_DOUBLE_EQ(schedule.at(1), 0.2);
  EXPECT_DOUBLE_EQ(schedule.at(3), 0.6);
  EXPECT_DOUBLE_EQ(schedule.at(4), 0.8);
  EXPECT_DOUBLE_EQ(schedule.at(5), 0.8);
  EXPECT_DOUBLE_EQ(schedule.at(1000), 0.8);
}

TEST(LrSchedule, WithoutWarmUpTheFirstUpdateHasThePeak) {
  EXPECT_DOUBLE_EQ(LrSchedule({.lr_decay_style = "constant"}, 0.8, 0, 100).at(1), 0.8);
}

TEST(LrSchedule, MultiStepFactorsApplyAboveTheFractions) {
  const LrSchedule schedule({.lr_decay_style = "multi-step", .lr_warmup_iters = 10}, 1, 0, 1000);
  EXPECT_DOUBLE_EQ(schedule.at(5), 0.5);
  EXPECT_DOUBLE_EQ(schedule.at(800), 1);
  EXPECT_DOUBLE_EQ(schedule.at(801), 0.316);
  EXPECT_DOUBLE_EQ(schedule.at(900), 0.316);
  EXPECT_DOUBLE_EQ(schedule.at(901), 0.316 * 0.316);
  EXPECT_DOUBLE_EQ(schedule.at(5000), 0.316 * 0.316);
}

// 0.7 has no exact double, and is a little less: its multiples must not fall below whole numbers.
TEST(LrSchedule, MultiStepFractionsAreTakenAsRealNumbers) {
  for (int64_t tens = 1; tens < 2000; ++tens) {
    const LrSchedule schedule({.lr_decay_style = "multi-step", .lr_multi_step_fractions = {0.7}}, 1, 0,
                              10 * tens);
    EXPECT_EQ(schedule.at(7 * tens), 1) << tens;
    EXPECT_EQ(schedule.at(7 * tens + 1), 0.316) << tens;
  }
}

TEST(LrSchedule, MultiStepStaysAboveTheMinimum) {
  EXPECT_DOUBLE_EQ(LrSchedule({.lr_decay_style = "multi-step"}, 1, 0.2, 10).at(10), 0.2);
}

TEST(LrSchedule, CosineRunsFromTheEndOfWarmUpToN) {
  const LrSchedule schedule({.lr_decay_style = "cosine", .lr_warmup_iters = 20}, 1, 0.1, 120);
  EXPECT_DOUBLE_EQ(schedule.at(10), 0.5);
  EXPECT_DOUBLE_EQ(schedule.at(20), 1);
  EXPECT_DOUBLE_EQ(schedule.at(45), 0.1 + 0.45 * (1 + std::cos(std::numbers::pi / 4)));
  EXPECT_DOUBLE_EQ(schedule.at(70), 0.55);
  EXPECT_DOUBLE_EQ(schedule.at(120), 0.1);
  EXPECT_DOUBLE_EQ(schedule.at(121), 0.1);
  EXPECT_LT(schedule.at(21), 1);
}

TEST(LrSchedule, DecayItersOverruleTheLengthOfTheRun) {
  EXPECT_DOUBLE_EQ(LrSchedule({.lr_decay_style = "cosine", .lr_decay_iters = 50}, 1, 0.1, 120).at(50), 0.1);
}

TEST(LrSchedule, WarmUpAsLongAsTheDecayHasNoDivisionByZero) {
  const LrSchedule schedule({.lr_decay_style = "cosine", .lr_warmup_iters = 10}, 1, 0.1, 10);
  EXPECT_DOUBLE_EQ(schedule.at(10), 1);
  EXPECT_DOUBLE_EQ(schedule.at(11), 0.1);
}

TEST(LrSchedule, RefusesWhatCannotBe) {
  EXPECT_THROW((SchedulerConfig{.lr_warmup_iters = 11}.check(10)), ConfigError);
  EXPECT_NO_THROW((SchedulerConfig{.lr_warmup_iters = 10}.check(10)));
  EXPECT_NO_THROW((SchedulerConfig{.lr_decay_style = "constant", .lr_warmup_iters = 11}.check(10)));
  EXPECT_THROW((SchedulerConfig{.lr_multi_step_fractions = {0.9, 0.8}}.check(10)), ConfigError);
}

}  // namespace
}  // namespace granule
