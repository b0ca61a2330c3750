#include "train/checkpoint_files.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

namespace granule {

void CheckpointFiles::make_directory(const std::string& path) const {
  announce("make directory", path);
  if (mkdir(path.c_str(), 0755) != 0) throw OutputError(path, "make the directory", errno);
}

void CheckpointFiles::sync_directory(const std::string& path) const {
  announce("sync directory", path);
  granule::sync_directory(path);
}

void CheckpointFiles::rename(const std::string& from, const std::string& to) const {
  // An empty directory would be replaced silently.
  std::error_code ignored;
  if (std::filesystem::exists(std::filesystem::symlink_status(to, ignored))) {
    throw OutputError(from, "rename to " + to, EEXIST);
  }
  move(from, to);
}

void CheckpointFiles::replace(const std::string& from, const std::string& to) const {
  move(from, to);
}

void CheckpointFiles::move(const std::string& from, const std::string& to) const {
  announce("rename", to);
  if (std::rename(from.c_str(), to.c_str()) != 0) throw OutputError(from, "rename to " + to, errno);
  sync_directory(std::filesystem::path(to).parent_path());
}

void CheckpointFiles::remove(const std::string& path) const {
  announce("remove", path);
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) throw OutputError(path, "remove", error.value());
}

CheckpointFile::CheckpointFile(const CheckpointFiles& files, const std::string& path)
    : files_(files), path_((files.announce("create", path), path)), file_(path) {}

void CheckpointFile::append(const void* bytes, size_t count) {
  files_.announce("write", path_);
  file_.append(bytes, count);
  hasher_.update(bytes, count);
}

void CheckpointFile::sync() {
  files_.announce("sync", path_);
  file_.sync();
}

}  // namespace granule
