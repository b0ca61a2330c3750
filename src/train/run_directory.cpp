#include "train/run_directory.h"

#include <filesystem>

#include "base/check.h"
#include "base/file.h"
#include "train/checkpoint_directory.h"

namespace granule {

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

std::string existing_tokenizer(const std::string& directory) {
  const auto path = directory + "/" + kTokenizerName;
  return std::filesystem::exists(path) ? path : "";
}

void keep_tokenizer(const std::string& tokenizer, const std::string& run_dir) {
  namespace fs = std::filesystem;
  constexpr uint64_t kMaxBytes = uint64_t{1} << 30;
  if (!fs::exists(tokenizer)) return;
  write_text_file_durably(run_dir + "/" + kTokenizerName, read_text_file(tokenizer, kMaxBytes));
  for (const auto* name : kTokenizerSideFiles) {
    const auto path = fs::path(tokenizer).replace_filename(name);
    if (fs::exists(path)) write_text_file_durably(run_dir + "/" + name, read_text_file(path.string(), kMaxBytes));
  }
}

}  // namespace granule
