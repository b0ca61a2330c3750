#pragma once
// The file operations of writing a checkpoint, each announced to an observer before it is done. Tests kill
// the process there, or throw in its place to play a full disk; a run has no observer.

#include <functional>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/hash.h"

namespace granule {

class CheckpointFiles {
 public:
  /// `operation` is one of "make directory", "create", "write", "sync", "sync directory", "rename", "remove".
  using Observer = std::function<void(std::string_view operation, const std::string& path)>;

  CheckpointFiles() = default;
  explicit CheckpointFiles(Observer observer) : observer_(std::move(observer)) {}

  void announce(std::string_view operation, const std::string& path) const {
    if (observer_) observer_(operation, path);
  }

  // All throw OutputError.
  void make_directory(const std::string& path) const;
  void sync_directory(const std::string& path) const;
  /// rename(2) and fsync of the parent. Fails if `to` is there.
  void rename(const std::string& from, const std::string& to) const;
  /// As `rename`, but puts a file in the place of another.
  void replace(const std::string& from, const std::string& to) const;
  /// With all that is in it; nothing happens if there is none.
  void remove(const std::string& path) const;

 private:
  void move(const std::string& from, const std::string& to) const;

  Observer observer_;
};

/// A file of a checkpoint while it is written: bytes are counted and hashed on their way.
class CheckpointFile {
 public:
  CheckpointFile(const CheckpointFiles& files, const std::string& path);

  void append(const void* bytes, size_t count);
  void append(std::string_view text) { append(text.data(), text.size()); }
  void sync();

  uint64_t size() const { return file_.size(); }
  uint64_t hash() const { return hasher_.digest(); }

 private:
  const CheckpointFiles& files_;
  std::string path_;
  WriteFile file_;
  Hasher hasher_;
};

}  // namespace granule
