#include "train/run_log.h"

#include <unistd.h>

#include <chrono>
#include <filesystem>

#include "base/check.h"
#include "base/log.h"
#include "train/console_line.h"
#include "train/run_directory.h"

namespace granule {

namespace {

double unix_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Four spaces before a line make it preformatted in Markdown.
std::string preformatted(const std::string& text) {
  std::string markdown = "    ";
  for (const char c : text) {
    markdown += c;
    if (c == '\n') markdown += "    ";
  }
  return markdown;
}

}  // namespace

RunLog::RunLog(const LoggerConfig& config, const std::string& run_dir, int64_t num_steps, int64_t resume_step,
               int rank)
    : config_(config), num_steps_(num_steps), resume_step_(resume_step) {
  CHECK(resume_step >= 0 && resume_step <= num_steps, "resumed at ", resume_step, " of ", num_steps);
  if (rank != 0) return;
  std::filesystem::create_directories(run_dir);
  metrics_file_ = std::make_unique<MetricsFile>(metrics_path(run_dir), resume_step);
  if (config.tensorboard) {
    event_file_ = std::make_unique<EventFile>(run_dir + "/tensorboard", resume_step, unix_seconds());
  }
  if (config.progress_bar) progress_bar_ = std::make_unique<ProgressBar>(num_steps, STDERR_FILENO);
}

bool RunLog::is_due(int64_t step) const {
  return step % config_.log_interval == 0 || step == num_steps_;
}

bool RunLog::expert_counts_are_due(int64_t step) const {
  if (config_.expert_counts_interval == 0 || !is_due(step)) return false;
  // The first line at or after each multiple of the interval.
  const int64_t previous_line = (step - 1) / config_.log_interval * config_.log_interval;
  return step == num_steps_ ||
         step / config_.expert_counts_interval > previous_line / config_.expert_counts_interval;
}

void RunLog::step(MetricRecord metrics) {
  if (!metrics_file_) return;
  metrics.wall_time = unix_seconds();
  const double* throughput = metrics.find(metric::kThroughput);
  if (throughput != nullptr && config_.peak_tflops > 0) {
    metrics.add(metric::kModelFlopsUse, *throughput / config_.peak_tflops);
  }
  metrics_file_->write(metrics);
  log_info(iteration_line(metrics, num_steps_));
  metrics.add(metric::kConsumedTokens, static_cast<double>(metrics.consumed_tokens));
  if (event_file_) event_file_->write(metrics);
}

void RunLog::validation(MetricRecord metrics) {
  if (!metrics_file_) return;
  metrics.wall_time = unix_seconds();
  metrics_file_->write(metrics);
  log_info(validation_line(metrics));
  if (event_file_) event_file_->write(metrics);
}

void RunLog::text(const std::string& name, const std::string& text) {
  if (event_file_) event_file_->write_text(unix_seconds(), resume_step_, name, preformatted(text));
}

void RunLog::progress(int64_t step, int64_t consumed_tokens) {
  if (progress_bar_) progress_bar_->update(step, consumed_tokens, steady_seconds());
}

}  // namespace granule
