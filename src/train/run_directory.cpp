#include "train/run_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/check.h"
#include "base/file.h"
#include "train/checkpoint_directory.h"

namespace granule {

RunDirectory::RunDirectory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) throw OutputError(path, "make the directory", error.value());
  const auto lock_path = path + "/lock";
  lock_ = open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_ < 0) throw OutputError(lock_path, "create", errno);
  if (flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    close(lock_);
    throw InputError(path, "another run is writing here; give this one another run_dir");
  }
}

RunDirectory::~RunDirectory() { close(lock_); }

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
