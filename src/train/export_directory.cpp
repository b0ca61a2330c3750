#include "train/export_directory.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <sstream>

#include "base/check.h"
#include "base/file.h"

namespace granule {

namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxListBytes = uint64_t{16} << 20;

std::vector<std::string> read_list(const std::string& list) {
  std::istringstream text(read_text_file(list, kMaxListBytes));
  std::vector<std::string> names;
  for (std::string name; std::getline(text, name);) names.push_back(name);
  return names;
}

// The file itself, or what it is called while it is written.
bool is_file_of(const std::string& name, const fs::directory_entry& entry) {
  const auto found = entry.path().filename().string();
  return entry.symlink_status().type() == fs::file_type::regular &&
         (found == name || found.starts_with(name + ".tmp-"));
}

void remove_leftovers(const std::string& path, const std::vector<std::string>& names) {
  std::vector<fs::path> leftovers;
  for (const auto& entry : fs::directory_iterator(path)) {
    if (entry.path().filename() == kUnfinishedExport) continue;
    if (std::none_of(names.begin(), names.end(), [&](auto& name) { return is_file_of(name, entry); })) {
      throw InputError(path, "holds an unfinished export, but also ", entry.path().filename().string(),
                       ", which is none of its files; give another directory");
    }
    leftovers.push_back(entry.path());
  }
  for (const auto& file : leftovers) {
    if (unlink(file.c_str()) != 0) throw OutputError(file.string(), "remove", errno);
  }
}

// In place, since a new file would not carry the lock.
void write_list(const std::string& list, const std::vector<std::string>& names) {
  WriteFile file(list);
  for (const auto& name : names) file.append(name + "\n");
  file.sync();
}

}  // namespace

ExportDirectory::ExportDirectory(const std::string& path, const std::vector<std::string>& names)
    : path_(path), list_(path + "/" + kUnfinishedExport) {
  make_directories(path_);
  if (!fs::exists(list_) && !fs::is_empty(path_)) throw InputError(path_, "is not empty; give another directory");
  lock_.emplace(list_, InputError(path_, "another export is writing here; give another directory"));
  remove_leftovers(path_, read_list(list_));
  write_list(list_, names);
  sync_directory(path_);
}

void ExportDirectory::finish() {
  if (unlink(list_.c_str()) != 0) throw OutputError(list_, "remove", errno);
  sync_directory(path_);
}

}  // namespace granule
