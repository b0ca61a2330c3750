#include "train/metrics_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <limits>

#include "tests/support/temporary_directory.h"

namespace granule {
namespace {

MetricRecord record_of(int64_t step) {
  MetricRecord metrics;
  metrics.step = step;
  metrics.add(metric::kLoss, 0.1 * static_cast<double>(step));
  return metrics;
}

std::vector<std::string> lines_of(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

TEST(MetricsLine, IsOneJsonObjectInOrder) {
  MetricRecord metrics;
  metrics.step = 10;
  metrics.wall_time = 1.5;
  metrics.consumed_samples = 640;
  metrics.consumed_tokens = 81920;
  metrics.add(metric::kLoss, 3.25);
  metrics.add("a \"b\"\n", 0.1);
  metrics.add_expert_counts(1, std::vector<int64_t>{7, 0});
  EXPECT_EQ(metrics_line(metrics),
            R"({"step":10,"wall_time":1.5,"consumed-samples":640,"consumed-tokens":81920,"lm loss":3.25,)"
            R"("a \"b\"\n":0.1,"moe/layer_01/tokens_per_expert":[7,0]})");
}

TEST(MetricsLine, WritesNumbersThatAreNotFiniteAsNull) {
  MetricRecord metrics;
  metrics.add(metric::kLoss, std::numeric_limits<double>::quiet_NaN());
  metrics.add(metric::kGradNorm, std::numeric_limits<double>::infinity());
  EXPECT_NE(metrics_line(metrics).find(R"("lm loss":null,"grad-norm":null})"), std::string::npos);
}

TEST(MetricsFile, LinesAreReadableBeforeItIsClosed) {
  const TemporaryDirectory directory;
  const auto path = directory.path("metrics.jsonl");
  MetricsFile file(path, 0);
  file.write(record_of(1));
  EXPECT_EQ(lines_of(path).size(), 1u);
  file.write(record_of(2));
  EXPECT_EQ(lines_of(path), (std::vector{metrics_line(record_of(1)), metrics_line(record_of(2))}));
}

TEST(MetricsFile, ARunThatBeginsAnewPutsAnEarlierLogAside) {
  const TemporaryDirectory directory;
  const auto path = directory.path("metrics.jsonl");
  { MetricsFile(path, 0).write(record_of(1)); }
  { const MetricsFile file(path, 0); }
  EXPECT_TRUE(lines_of(path).empty());
  EXPECT_EQ(lines_of(path + ".old"), std::vector{metrics_line(record_of(1))});
  { const MetricsFile file(path, 0); }
  EXPECT_EQ(lines_of(path + ".old").size(), 1u) << "an empty one is not kept";
}

TEST(MetricsFile, ResumedRunKeepsLinesUpToTheStepAndGoesOn) {
  const TemporaryDirectory directory;
  const auto path = directory.path("metrics.jsonl");
  {
    MetricsFile file(path, 0);
    for (int64_t step = 1; step <= 9; ++step) file.write(record_of(step));
  }
  {
    MetricsFile file(path, 5);
    file.write(record_of(6));
  }
  std::vector<std::string> expected;
  for (int64_t step = 1; step <= 6; ++step) expected.push_back(metrics_line(record_of(step)));
  EXPECT_EQ(lines_of(path), expected);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory.path()), {}), 1)
      << "a temporary file is left";
}

TEST(MetricsFile, ResumedRunDropsTheLineThatACrashCutShort) {
  const TemporaryDirectory directory;
  const auto path = directory.path("metrics.jsonl");
  std::ofstream(path) << metrics_line(record_of(1)) << "\n"
                      << "[2]\n\n"
                      << metrics_line(record_of(2)) << "\n"
                      << metrics_line(record_of(3)).substr(0, 20);
  MetricsFile file(path, 3);
  file.write(record_of(4));
  EXPECT_EQ(lines_of(path), (std::vector{metrics_line(record_of(1)), metrics_line(record_of(2)),
                                         metrics_line(record_of(4))}));
}

TEST(MetricsFile, KeepsAWholeLastLineThatLacksItsNewline) {
  const TemporaryDirectory directory;
  const auto path = directory.path("metrics.jsonl");
  std::ofstream(path) << metrics_line(record_of(1));
  MetricsFile file(path, 3);
  file.write(record_of(4));
  EXPECT_EQ(lines_of(path), (std::vector{metrics_line(record_of(1)), metrics_line(record_of(4))}));
}

TEST(MetricsFile, NewRunEmptiesTheFile) {
  const TemporaryDirectory directory;
  const auto path = directory.path("metrics.jsonl");
  std::ofstream(path) << metrics_line(record_of(0)) << "\n" << metrics_line(record_of(1)) << "\n";
  MetricsFile file(path, 0);
  EXPECT_TRUE(lines_of(path).empty());
}

TEST(MetricsFile, ResumedRunWithoutAFileBeginsOne) {
  const TemporaryDirectory directory;
  const auto path = directory.path("metrics.jsonl");
  MetricsFile file(path, 7);
  file.write(record_of(8));
  EXPECT_EQ(lines_of(path).size(), 1u);
}

TEST(MetricsFile, SaysWhichFileCannotBeWritten) {
  const TemporaryDirectory directory;
  try {
    MetricsFile file(directory.path("missing/metrics.jsonl"), 0);
    FAIL() << "no error";
  } catch (const OutputError& error) {
    EXPECT_NE(std::string(error.what()).find("missing/metrics.jsonl"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace granule
