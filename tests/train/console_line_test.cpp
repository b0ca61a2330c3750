#include "train/console_line.h"

#include <gtest/gtest.h>

#include <regex>

namespace granule {
namespace {

MetricRecord full_record() {
  MetricRecord metrics;
  metrics.step = 10;
  metrics.consumed_samples = 640;
  metrics.add(metric::kLoss, 3.21);
  metrics.add(metric::kBalanceLoss, 1.02);
  metrics.add(metric::kGradNorm, 0.9124);
  metrics.add(metric::kLearningRate, 3e-4);
  metrics.add(metric::kBatchSize, 64);
  metrics.add(metric::kIterationTime, 0.8123);
  metrics.add(metric::kTokensPerSecond, 40330.4);
  metrics.add(metric::kThroughput, 210.4);
  metrics.add(metric::kSkippedSteps, 1);
  return metrics;
}

TEST(ConsoleLine, HasMegatronsFieldsInMegatronsOrder) {
  EXPECT_EQ(iteration_line(full_record(), 1000),
            "iteration       10/    1000 | consumed samples:          640 | elapsed time per iteration (ms): "
            "812.3 |"
            " throughput per GPU (TFLOP/s/GPU): 210.400 | tokens/sec: 40330 | learning rate: 3.000000E-04 |"
            " global batch size:    64 | lm loss: 3.210000E+00 | load_balancing_loss: 1.020000E+00 |"
            " grad norm: 0.912 | number of skipped iterations:   1 | number of nan iterations:   1 |");
}

TEST(ConsoleLine, IsReadByTheUsualExpressions) {
  const auto line = iteration_line(full_record(), 1000);
  std::smatch found;
  ASSERT_TRUE(std::regex_search(line, found, std::regex(R"(iteration\s+(\d+)/\s*(\d+)\s*\|)")));
  EXPECT_EQ(found[1], "10");
  EXPECT_EQ(found[2], "1000");
  ASSERT_TRUE(std::regex_search(line, found, std::regex(R"(\| lm loss: ([\d.E+-]+) \|)")));
  EXPECT_DOUBLE_EQ(std::stod(found[1]), 3.21);
  ASSERT_TRUE(
      std::regex_search(line, found, std::regex(R"(elapsed time per iteration \(ms\): ([\d.]+) \|)")));
  EXPECT_DOUBLE_EQ(std::stod(found[1]), 812.3);
}

TEST(ConsoleLine, LeavesOutWhatTheRecordLacks) {
  MetricRecord metrics;
  metrics.step = 3;
  metrics.add(metric::kLoss, 2);
  EXPECT_EQ(iteration_line(metrics, 5),
            "iteration        3/       5 | consumed samples:            0 | lm loss: 2.000000E+00 |");
}

TEST(ConsoleLine, ShowsANumberThatIsNotFinite) {
  MetricRecord metrics;
  metrics.add(metric::kLoss, std::numeric_limits<double>::quiet_NaN());
  EXPECT_NE(iteration_line(metrics, 5).find("lm loss: NAN |"), std::string::npos);
}

TEST(ConsoleLine, OfValidationNamesLossPerplexityAndBits) {
  MetricRecord metrics;
  metrics.step = 100;
  metrics.add(metric::kValidationLoss, 2);
  metrics.add(metric::kValidationPerplexity, 7.389056);
  metrics.add(metric::kValidationBitsPerByte, 0.75);
  EXPECT_EQ(validation_line(metrics),
            "validation loss at iteration 100 | lm loss value: 2.000000E+00 | lm loss PPL: 7.389056E+00 |"
            " bits per byte: 0.750000 |");
}

}  // namespace
}  // namespace granule
