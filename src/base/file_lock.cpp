#include "base/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <vector>

#include "base/file.h"

namespace granule {

void make_directories(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  std::vector<fs::path> missing;
  for (auto next = fs::absolute(path).lexically_normal(); !fs::exists(next, error); next = next.parent_path()) {
    missing.push_back(next);
  }
  fs::create_directories(path, error);
  if (error) throw OutputError(path, "make the directory", error.value());
  for (const auto& made : missing) sync_directory(made.parent_path().string());
}

FileLock::FileLock(const std::string& path, const InputError& taken)
    : descriptor_(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {
  if (descriptor_ < 0) throw OutputError(path, "create", errno);
  if (flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    const int reason = errno;
    close(descriptor_);
    if (reason == EWOULDBLOCK) throw taken;
    throw OutputError(path, "lock", reason);
  }
}

FileLock::~FileLock() { close(descriptor_); }

}  // namespace granule
