#pragma once
// Files with every return value checked. Reading foreign bytes goes by position and length against the size
// seen at opening; writing is durable only after `sync`.

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include "base/check.h"

namespace granule {

/// The system refuses to open or read a file that is there: this says nothing about what the file holds.
class ReadError : public InputError {
 public:
  ReadError(const std::string& path, const std::string& action, int error_number);
};

/// Writing failed: path, what was tried and the system's reason (disk full, no permission ...).
class OutputError : public std::runtime_error {
 public:
  OutputError(const std::string& path, const std::string& action, int error_number);
};

/// A regular file open for reading.
class ReadFile {
 public:
  /// Throws InputError if it is not there or is no regular file, ReadError if it cannot be opened.
  explicit ReadFile(const std::string& path);
  ~ReadFile();
  ReadFile(const ReadFile&) = delete;
  ReadFile& operator=(const ReadFile&) = delete;
  ReadFile(ReadFile&& other) noexcept;

  const std::string& path() const { return path_; }
  /// Bytes at the time of opening.
  uint64_t size() const { return size_; }
  /// Fills all of `bytes` from `offset`; throws InputError if the file does not hold them, ReadError if they
  /// cannot be read.
  void read_at(uint64_t offset, void* bytes, size_t count) const;

 private:
  std::string path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

/// A file written from front to back. What was appended is seen by other processes at once, but is durable
/// only after `sync`.
class WriteFile {
 public:
  enum class Mode {
    kNew,     ///< create or empty
    kAppend,  ///< create or go on at the end
  };
  /// Throws OutputError.
  explicit WriteFile(const std::string& path, Mode mode = Mode::kNew);
  ~WriteFile();
  WriteFile(const WriteFile&) = delete;
  WriteFile& operator=(const WriteFile&) = delete;

  /// Bytes appended so far.
  uint64_t size() const { return size_; }
  void append(const void* bytes, size_t count);
  void append(std::string_view text) { append(text.data(), text.size()); }
  /// Flushes to the device and closes; throws OutputError.
  void sync();

 private:
  std::string path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

/// The whole file; throws InputError if it is larger than `max_bytes`.
std::string read_text_file(const std::string& path, uint64_t max_bytes);
/// Through a temporary file beside it, fsync and rename: readers see the old text or the new one.
void write_text_file_durably(const std::string& path, std::string_view text);
/// rename(2) and fsync of the directory that holds `to`.
void rename_durably(const std::string& from, const std::string& to);
/// fsync: files that were made, renamed or removed in it are so after a crash too.
void sync_directory(const std::string& path);
/// Whether it names a file right in a directory, on any system: no way out of it, nothing hidden, 255 bytes at most.
bool is_plain_file_name(std::string_view name);

}  // namespace granule
