#pragma once
// What a run shows while it runs: metrics.jsonl, TensorBoard events, the console line and, on a terminal, a
// progress bar. Rank 0 writes; on every other rank all of it is silent.

#include <memory>
#include <string>

#include "train/event_file.h"
#include "train/metric_record.h"
#include "train/metrics_file.h"
#include "train/progress_bar.h"
#include "train/run_log_config.h"

namespace granule {

class RunLog {
 public:
  /// Goes on after `resume_step` (0: a new run) towards `num_steps`: what a former attempt wrote of later
  /// steps is forgotten. `run_dir` is made if missing. Throws OutputError, as every other call that writes.
  RunLog(const LoggerConfig& config, const std::string& run_dir, int64_t num_steps, int64_t resume_step,
         int rank);

  /// Whether step `step` (from 1) has a line; the same on all ranks. The last step always has one.
  bool is_due(int64_t step) const;
  /// Whether that line should hold every expert's token count.
  bool expert_counts_are_due(int64_t step) const;

  /// Whether the step that it goes on after has been validated, as rank 0 knows.
  bool has_validation() const { return metrics_file_ && metrics_file_->has_validation(); }
  /// The metrics of a step that is due.
  void step(MetricRecord metrics);
  /// The metrics of an evaluation after step `metrics.step`.
  void validation(MetricRecord metrics);
  /// A text for TensorBoard, such as the config; shown as it is, without markup.
  void text(const std::string& name, const std::string& text);
  /// After every step: moves the progress bar.
  void progress(int64_t step, int64_t consumed_tokens);

 private:
  const LoggerConfig config_;
  const int64_t num_steps_;
  const int64_t resume_step_;
  std::unique_ptr<MetricsFile> metrics_file_;  // the three of them on rank 0 alone
  std::unique_ptr<EventFile> event_file_;
  std::unique_ptr<ProgressBar> progress_bar_;
};

}  // namespace granule
