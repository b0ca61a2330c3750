#include "train/run_log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "tests/support/temporary_directory.h"

namespace granule {
namespace {

namespace fs = std::filesystem;

MetricRecord record_of(int64_t step) {
  MetricRecord metrics;
  metrics.step = step;
  metrics.consumed_tokens = step * 100;
  metrics.add(metric::kLoss, 2.5);
  return metrics;
}

std::string only_event_file(const std::string& run_dir) {
  return read_text_file(fs::directory_iterator(run_dir + "/tensorboard")->path(), 1 << 20);
}

TEST(RunLog, WritesStepsAndValidationsToFileEventsAndConsole) {
  const TemporaryDirectory directory;
  testing::internal::CaptureStderr();
  {
    RunLog log({}, directory.path("run"), 100, 0, 0);
    log.step(record_of(10));
    MetricRecord validation;
    validation.step = 10;
    validation.add(metric::kValidationLoss, 2.25);
    log.validation(validation);
    log.text("config", "a: 1\nb: 2\n");
  }
  const auto console = testing::internal::GetCapturedStderr();
  const auto jsonl = read_text_file(directory.path("run/metrics.jsonl"), 1 << 20);
  const auto events = only_event_file(directory.path("run"));

  EXPECT_NE(console.find("iteration       10/     100 |"), std::string::npos) << console;
  EXPECT_NE(console.find("validation loss at iteration 10 | lm loss value: 2.250000E+00 |"),
            std::string::npos);
  EXPECT_NE(jsonl.find(R"("consumed-tokens":1000,"lm loss":2.5})"), std::string::npos) << jsonl;
  EXPECT_NE(jsonl.find(R"("lm loss validation":2.25})"), std::string::npos) << jsonl;
  for (const char* name :
       {"lm loss", "lm loss validation", "consumed-tokens", "config/text_summary", "    a: 1\n    b: 2\n"}) {
    EXPECT_NE(events.find(name), std::string::npos) << name;
  }
}

TEST(RunLog, StampsTheTime) {
  const TemporaryDirectory directory;
  RunLog log({}, directory.path(), 100, 0, 0);
  log.step(record_of(10));
  const auto jsonl = read_text_file(directory.path("metrics.jsonl"), 1 << 20);
  EXPECT_EQ(jsonl.find("\"wall_time\":0"), std::string::npos) << jsonl;
}

TEST(RunLog, LogsTheShareOfAKnownPeak) {
  const TemporaryDirectory directory;
  for (const auto& [peak, expected] : {std::pair{0.0, false}, std::pair{0.5, true}}) {
    RunLog log({.peak_tflops = peak}, directory.path(), 100, 0, 0);
    auto metrics = record_of(10);
    metrics.add(metric::kThroughput, 0.125);
    log.step(metrics);
    const auto jsonl = read_text_file(directory.path("metrics.jsonl"), 1 << 20);
    EXPECT_EQ(jsonl.find("\"mfu\":0.25}") != std::string::npos, expected) << jsonl;
  }
}

TEST(RunLog, OfOtherRanksLeavesNoTrace) {
  const TemporaryDirectory directory;
  testing::internal::CaptureStderr();
  RunLog log({}, directory.path("run"), 100, 0, 1);
  log.step(record_of(10));
  log.validation(record_of(10));
  log.text("config", "a: 1");
  log.progress(10, 1000);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_FALSE(fs::exists(directory.path("run")));
}

TEST(RunLog, WithoutTensorboardWritesNoEvents) {
  const TemporaryDirectory directory;
  RunLog log({.tensorboard = false}, directory.path(), 100, 0, 0);
  log.step(record_of(10));
  log.text("config", "a: 1");
  EXPECT_TRUE(fs::exists(directory.path("metrics.jsonl")));
  EXPECT_FALSE(fs::exists(directory.path("tensorboard")));
}

TEST(RunLog, ResumedDropsTheLinesOfStepsThatRunAgain) {
  const TemporaryDirectory directory;
  {
    RunLog log({}, directory.path(), 100, 0, 0);
    for (const int64_t step : {10, 20, 30}) log.step(record_of(step));
  }
  RunLog log({}, directory.path(), 100, 20, 0);
  log.step(record_of(30));
  const auto jsonl = read_text_file(directory.path("metrics.jsonl"), 1 << 20);
  EXPECT_EQ(std::count(jsonl.begin(), jsonl.end(), '\n'), 3);
}

TEST(RunLog, IsDueAtTheIntervalAndAtTheEndOnEveryRank) {
  const TemporaryDirectory directory;
  for (const int rank : {0, 3}) {
    const RunLog log({.log_interval = 10}, directory.path(), 25, 0, rank);
    std::vector<int64_t> due;
    for (int64_t step = 1; step <= 25; ++step) {
      if (log.is_due(step)) due.push_back(step);
    }
    EXPECT_EQ(due, (std::vector<int64_t>{10, 20, 25}));
  }
}

std::vector<int64_t> steps_with_counts(int64_t log_interval, int64_t counts_interval, int64_t num_steps) {
  const TemporaryDirectory directory;
  const RunLog log({.log_interval = log_interval, .expert_counts_interval = counts_interval},
                   directory.path(), num_steps, 0, 0);
  std::vector<int64_t> steps;
  for (int64_t step = 1; step <= num_steps; ++step) {
    if (log.expert_counts_are_due(step)) steps.push_back(step);
  }
  return steps;
}

TEST(RunLog, ExpertCountsAreDueWithTheFirstLineOfTheirInterval) {
  EXPECT_EQ(steps_with_counts(10, 20, 50), (std::vector<int64_t>{20, 40, 50}));
  EXPECT_EQ(steps_with_counts(4, 6, 20), (std::vector<int64_t>{8, 12, 20}));
  EXPECT_EQ(steps_with_counts(10, 1, 30), (std::vector<int64_t>{10, 20, 30}));
  EXPECT_EQ(steps_with_counts(10, 100, 50), (std::vector<int64_t>{50}));
  EXPECT_EQ(steps_with_counts(10, 0, 50), (std::vector<int64_t>{}));
}

TEST(RunLog, OfARunWithoutStepsCanBeMade) {
  const TemporaryDirectory directory;
  RunLog log({}, directory.path(), 0, 0, 0);
  EXPECT_THROW(RunLog({}, directory.path(), 5, 6, 0), std::logic_error);
}

/// Steps 1 to 8, a stop that was saved at step 5, and steps 6 to 10 again with other losses.
void write_resumed_run(const std::string& run_dir) {
  const auto write_steps = [&](int64_t resume_step, int64_t last_step, double loss_offset) {
    RunLog log({.log_interval = 1}, run_dir, 10, resume_step, 0);
    log.text("config", "model:\n  hidden_size: 8\n");
    for (int64_t step = resume_step + 1; step <= last_step; ++step) {
      MetricRecord metrics;
      metrics.step = step;
      metrics.consumed_tokens = step * 100;
      metrics.add(metric::kLoss, loss_offset + static_cast<double>(step));
      metrics.add_experts(1,
                          {.load_imbalance = 1.5, .max_violation = 0.5, .entropy = 1, .dropped_fraction = 0});
      metrics.add_expert_counts(1, std::vector<int64_t>{0, 30, 10, step, 0});
      log.step(metrics);
    }
  };
  write_steps(0, 8, 0.0);
  write_steps(5, 10, 100.0);
}

// tests/train/test_tensorboard.py runs this test with a directory to find the run in, and reads it with
// TensorBoard.
TEST(RunLog, OfAResumedRunHasEveryStepOnce) {
  const TemporaryDirectory directory;
  const char* kept = std::getenv("GRANULE_TEST_RUN_DIR");
  const std::string run_dir = kept != nullptr ? kept : directory.path();
  write_resumed_run(run_dir);
  const auto jsonl = read_text_file(run_dir + "/metrics.jsonl", 1 << 20);
  EXPECT_EQ(std::count(jsonl.begin(), jsonl.end(), '\n'), 10);
  EXPECT_NE(jsonl.find("\"lm loss\":5.0"), std::string::npos);
  EXPECT_NE(jsonl.find("\"lm loss\":106.0"), std::string::npos);
}

}  // namespace
}  // namespace granule
