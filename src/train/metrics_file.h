#pragma once
// metrics.jsonl, the record of a run that every other view is made from: one JSON object a line, in order of
// steps,
// `{"step": 10, "wall_time": ..., "consumed-samples": ..., "consumed-tokens": ..., "lm loss": ...}`.
// A number that is not finite is null.

#include <cstdint>
#include <string>

#include "base/file.h"
#include "train/metric_record.h"

namespace granule {

/// The line of `metrics`, without the newline.
std::string metrics_line(const MetricRecord& metrics);

class MetricsFile {
 public:
  /// Opens `path` to go on after `resume_step`: lines of later steps and a line that a crash cut short are
  /// removed first, in one rename. 0 empties the file.
  MetricsFile(const std::string& path, int64_t resume_step);

  /// Whether a line of `resume_step` holds a validation.
  bool has_validation() const { return has_validation_; }
  /// One line, handed to the system at once; throws OutputError.
  void write(const MetricRecord& metrics) { file_.append(metrics_line(metrics) + "\n"); }

 private:
  bool has_validation_ = false;
  WriteFile file_;
};

}  // namespace granule
