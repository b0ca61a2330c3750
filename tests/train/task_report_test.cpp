#include "train/task_report.h"

#include <gtest/gtest.h>

#include <cmath>

namespace granule {
namespace {

TEST(TaskReport, MeanHasTheErrorOfASample) {
  nlohmann::ordered_json metrics;
  add_mean(metrics, "acc", {1, 0, 0, 1, 1});
  EXPECT_EQ(metrics["acc"].dump(), "0.6");
  EXPECT_DOUBLE_EQ(metrics["acc_stderr"], std::sqrt((3 * 0.16 + 2 * 0.36) / 4) / std::sqrt(5));
}

TEST(TaskReport, OneValueHasNoError) {
  nlohmann::ordered_json metrics;
  add_mean(metrics, "acc", {1});
  EXPECT_DOUBLE_EQ(metrics["acc"], 1);
  EXPECT_TRUE(metrics["acc_stderr"].is_null());
}

}  // namespace
}  // namespace granule
