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
  /// OutputError if it cannot be made.
  explicit RunDirectory(const std::string& path);

 private:
  std::optional<FileLock> lock_;
};

/// `path` from the root on, without dots and without a slash at the end.
std::string absolute_path(const std::string& path);
/// Paths inside a run directory.
std::string config_path(const std::string& run_dir);
std::string checkpoints_path(const std::string& run_dir);
std::string tokenizer_path(const std::string& run_dir);
/// Whether it holds checkpoints.
bool has_begun(const std::string& run_dir);
/// The tokenizer.json of a run or checkpoint directory; empty if it has none.
std::string existing_tokenizer(const std::string& directory);
/// The tokenizer.json of what checkpoint.load may name: beside a model of Hugging Face or a run, else in the
/// newest checkpoint that is there; empty if there is none.
std::string tokenizer_of_model(const std::string& path);

/// Throws InputError for a token file beside which a tokenizer.json lies whose tokens have other ids than those of
/// `tokenizer`. Nothing is compared if there is no `tokenizer`.
void check_vocabularies(const std::vector<std::string>& files, const std::string& tokenizer);

/// Throws ConfigError if the run has begun with another tokenizer.json than this.
void check_same_tokenizer(const std::string& tokenizer, const std::string& run_dir);
/// Copies a tokenizer.json and kTokenizerSideFiles beside it, those that there are, into the run; one that
/// has begun keeps what it has.
void keep_tokenizer(const std::string& tokenizer, const std::string& run_dir);

}  // namespace granule
