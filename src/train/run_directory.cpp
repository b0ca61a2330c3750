#include "train/run_directory.h"

#include <filesystem>

#include "base/check.h"
#include "base/file.h"
#include "interchange/hugging_face_directory.h"
#include "train/checkpoint_directory.h"

namespace granule {

namespace {

// Somebody's own files, in a directory that no run has been in.
void refuse_foreign_files(const std::string& path) {
  std::vector<std::string> paths{config_path(path), metrics_path(path)};
  for (const auto& name : tokenizer_names()) paths.push_back(path + "/" + name);
  for (const auto& own : paths) {
    if (!std::filesystem::exists(own)) continue;
    throw InputError(own, "is of no run and would be written over; give the run a directory of its own (run_dir)");
  }
}

}  // namespace

RunDirectory::RunDirectory(const std::string& path) {
  if (is_hugging_face_directory(path)) {
    throw InputError(path, "is a model of Hugging Face (", kConfigJson, "), which would hide the run's checkpoints; ",
                     "give the run a directory of its own");
  }
  make_directories(path);
  const auto lock = path + "/lock";
  if (!std::filesystem::exists(lock) && !has_begun(path)) refuse_foreign_files(path);
  lock_.emplace(lock,
                InputError(path, "another run is writing here; give this one another run_dir"));
}

std::string absolute_path(const std::string& path) {
  auto absolute = std::filesystem::absolute(path).lexically_normal().string();
  while (absolute.size() > 1 && absolute.ends_with('/')) absolute.pop_back();
  return absolute;
}

std::string config_path(const std::string& run_dir) { return run_dir + "/config.yaml"; }
std::string metrics_path(const std::string& run_dir) { return run_dir + "/metrics.jsonl"; }
std::string checkpoints_path(const std::string& run_dir) { return run_dir + "/checkpoints"; }
std::string tokenizer_path(const std::string& run_dir) { return run_dir + "/" + kTokenizerName; }

bool has_begun(const std::string& run_dir) {
  return !list_checkpoints(checkpoints_path(run_dir)).empty();
}

}  // namespace granule
