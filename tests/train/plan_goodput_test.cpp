#include "train/plan_goodput.h"

#include <gtest/gtest.h>

namespace granule {
namespace {

// One unexpected stop for each 50,700 GPU-hours.
FailureModel failures(double gpus, double stall, double restart_minutes) {
  return {.save_stall = stall, .between_failures = 50700.0 / gpus * 3600, .restart = restart_minutes * 60};
}
double best(const FailureModel& model) {
  return 100 * goodput(model, best_save_interval(model));
}

TEST(PlanGoodput, IsTheWorkedOne) {
  EXPECT_NEAR(best(failures(64, 2, 10)), 99.86, 0.01);
  EXPECT_NEAR(best(failures(512, 2, 10)), 99.50, 0.01);
  EXPECT_NEAR(best(failures(2048, 2, 5)), 98.99, 0.02);
  EXPECT_NEAR(best(failures(16384, 2, 5)), 95.4, 0.1);
  EXPECT_NEAR(best(failures(2048, 30, 10)), 96.7, 0.1);
  EXPECT_NEAR(best(failures(16384, 30, 10)), 87.3, 0.1);
  EXPECT_NEAR(best_save_interval(failures(64, 2, 10)) / 60, 56, 0.5);
  EXPECT_NEAR(best_save_interval(failures(512, 2, 10)) / 60, 20, 0.5);
}

TEST(PlanGoodput, IsBestAtTheBestInterval) {
  const auto model = failures(512, 2, 10);
  const double interval = best_save_interval(model);
  EXPECT_GT(goodput(model, interval), goodput(model, 0.9 * interval));
  EXPECT_GT(goodput(model, interval), goodput(model, 1.1 * interval));
}

TEST(PlanGoodput, IsZeroWhereFailuresComeFasterThanProgress) {
  EXPECT_EQ(goodput({.save_stall = 60, .between_failures = 30, .restart = 600}, 60), 0);
}

}  // namespace
}  // namespace granule
