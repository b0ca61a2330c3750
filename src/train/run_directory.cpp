#include "train/run_directory.h"

#include <filesystem>

#include "base/check.h"
#include "base/file.h"
#include "train/checkpoint_directory.h"

namespace granule {

namespace {

// The one that a run has begun with; empty if it has not, or without any.
std::string own_tokenizer(const std::string& run_dir) {
  return has_begun(run_dir) ? existing_tokenizer(run_dir) : "";
}

}  // namespace

RunDirectory::RunDirectory(const std::string& path) {
  make_directories(path);
  lock_.emplace(path + "/lock",
                InputError(path, "another run is writing here; give this one another run_dir"));
}

std::string absolute_path(const std::string& path) {
  auto absolute = std::filesystem::absolute(path).lexically_normal().string();
  while (absolute.size() > 1 && absolute.ends_with('/')) absolute.pop_back();
  return absolute;
}

std::string config_path(const std::string& run_dir) { return run_dir + "/config.yaml"; }
std::string checkpoints_path(const std::string& run_dir) { return run_dir + "/checkpoints"; }
std::string tokenizer_path(const std::string& run_dir) { return run_dir + "/" + kTokenizerName; }

bool has_begun(const std::string& run_dir) {
  return !list_checkpoints(checkpoints_path(run_dir)).empty();
}

std::string existing_tokenizer(const std::string& directory) {
  const auto path = tokenizer_path(directory);
  return std::filesystem::exists(path) ? path : "";
}

std::string tokenizer_of_model(const std::string& path) {
  const auto own = existing_tokenizer(path);
  if (!own.empty()) return own;
  const auto checkpoints = find_checkpoints(path);
  return checkpoints.empty() ? "" : existing_tokenizer(checkpoints.front().path);
}

void check_same_tokenizer(const std::string& tokenizer, const std::string& run_dir) {
  const auto own = own_tokenizer(run_dir);
  if (own.empty() || !std::filesystem::exists(tokenizer)) return;
  if (read_text_file(tokenizer, kMaxTokenizerBytes) == read_text_file(own, kMaxTokenizerBytes)) return;
  throw ConfigError("data.tokenizer", tokenizer, "is another than ", own,
                    ", which the run has begun with; set it to that one, or give another run_dir");
}

void keep_tokenizer(const std::string& tokenizer, const std::string& run_dir) {
  if (tokenizer.empty() || !own_tokenizer(run_dir).empty()) return;
  for (const auto& [path, name] : tokenizer_files(tokenizer)) {
    write_text_file_durably(run_dir + "/" + name, read_text_file(path, kMaxTokenizerBytes));
  }
}

}  // namespace granule
