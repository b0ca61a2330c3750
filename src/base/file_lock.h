#pragma once
// A lock that goes with its holder, however that ends: of processes that write to the same directory, one at a time.

#include <string>

#include "base/check.h"

namespace granule {

/// Makes a directory and those above it, if missing. Throws OutputError.
void make_directories(const std::string& path);

class FileLock {
 public:
  /// Takes the lock on the file `path`, which is made if missing, and holds it until destruction. Throws `taken` if
  /// another process holds it, OutputError if the file cannot be opened.
  FileLock(const std::string& path, const InputError& taken);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int descriptor_;
};

}  // namespace granule
