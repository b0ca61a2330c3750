#pragma once
// The directory that holds everything of a run: config.yaml, tokenizer.json, metrics.jsonl, tensorboard/,
// checkpoints/, report.html. One job at a time may write to it.

#include <optional>
#include <string>
#include <vector>

#include "base/file_lock.h"

namespace granule {

class RunDirectory {
 public:
  /// Makes the directory if missing and locks it until destruction. Throws InputError if another process holds it,
  /// or if files that a run would write over lie where no run has been; OutputError if it cannot be made.
  explicit RunDirectory(const std::string& path);

 private:
  std::optional<FileLock> lock_;
};

/// `path` from the root on, without dots and without a slash at the end.
std::string absolute_path(const std::string& path);
/// Paths inside a run directory.
std::string config_path(const std::string& run_dir);
std::string metrics_path(const std::string& run_dir);
std::string checkpoints_path(const std::string& run_dir);
std::string tokenizer_path(const std::string& run_dir);
/// Whether it holds checkpoints.
bool has_begun(const std::string& run_dir);

}  // namespace granule
