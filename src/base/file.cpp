#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/check.h"

namespace granule {

ReadError::ReadError(const std::string& path, const std::string& action, int error_number)
    : InputError(path, "cannot be ", action, ": ", std::strerror(error_number)) {}

OutputError::OutputError(const std::string& path, const std::string& action, int error_number)
    : std::runtime_error(join_text(path, ": cannot ", action, ": ", std::strerror(error_number))) {}

ReadFile::ReadFile(const std::string& path) : path_(path) {
  // Opening a pipe that nobody writes to would wait forever.
  descriptor_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0 && (errno == ENOENT || errno == ENOTDIR)) {
    throw InputError(path, "cannot be opened: ", std::strerror(errno));
  }
  if (descriptor_ < 0) throw ReadError(path, "opened", errno);
  struct stat status {};
  if (fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(descriptor_);
    throw InputError(path, "is no regular file");
  }
  size_ = static_cast<uint64_t>(status.st_size);
}

ReadFile::~ReadFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

ReadFile::ReadFile(ReadFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)), size_(other.size_) {}

void ReadFile::read_at(uint64_t offset, void* bytes, size_t count) const {
  if (offset > size_ || count > size_ - offset) {
    throw InputError(path_, "holds ", size_, " bytes, but ", count, " are needed from offset ", offset);
  }
  auto* out = static_cast<char*>(bytes);
  while (count > 0) {
    const ssize_t got = pread(descriptor_, out, count, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw ReadError(path_, join_text("read at offset ", offset), errno);
    if (got == 0) throw InputError(path_, "became shorter while in use: nothing at offset ", offset);
    out += got;
    offset += static_cast<uint64_t>(got);
    count -= static_cast<size_t>(got);
  }
}

WriteFile::WriteFile(const std::string& path, Mode mode) : path_(path) {
  const int start = mode == Mode::kNew ? O_TRUNC : O_APPEND;
  descriptor_ = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | start, 0644);
  if (descriptor_ < 0) throw OutputError(path, "create", errno);
}

WriteFile::~WriteFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

void WriteFile::append(const void* bytes, size_t count) {
  const auto* in = static_cast<const char*>(bytes);
  size_ += count;
  while (count > 0) {
    const ssize_t put = write(descriptor_, in, count);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) throw OutputError(path_, "write", errno);
    in += put;
    count -= static_cast<size_t>(put);
  }
}

void WriteFile::sync() {
  if (fsync(descriptor_) != 0) throw OutputError(path_, "sync", errno);
  if (close(std::exchange(descriptor_, -1)) != 0) throw OutputError(path_, "close", errno);
}

std::string read_text_file(const std::string& path, uint64_t max_bytes) {
  const ReadFile file(path);
  if (file.size() > max_bytes) {
    throw InputError(path, "is ", file.size(), " bytes long, at most ", max_bytes, " are accepted");
  }
  std::string text(file.size(), '\0');
  file.read_at(0, text.data(), text.size());
  return text;
}

void sync_directory(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) throw OutputError(path, "open", errno);
  const int failed = fsync(descriptor) == 0 ? 0 : errno;
  close(descriptor);
  if (failed != 0) throw OutputError(path, "sync", failed);
}

void rename_durably(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0) throw OutputError(from, "rename to " + to, errno);
  const auto parent = std::filesystem::path(to).parent_path();
  sync_directory(parent.empty() ? "." : parent.string());
}

void write_text_file_durably(const std::string& path, std::string_view text) {
  const auto temporary = join_text(path, ".tmp-", getpid());
  try {
    WriteFile file(temporary);
    file.append(text);
    file.sync();
    rename_durably(temporary, path);
  } catch (...) {
    unlink(temporary.c_str());
    throw;
  }
}

bool is_plain_file_name(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name.front() != '.' &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
}

}  // namespace granule
