#pragma once
// The directory of an export while it is written. A list of the files to come lies in it until all are there, so that
// the next export knows what an unfinished one left behind, and takes away nothing else.

#include <optional>
#include <string>
#include <vector>

#include "base/file_lock.h"

namespace granule {

/// The name of that list: its presence tells an unfinished export.
inline constexpr char kUnfinishedExport[] = "unfinished_export";

class ExportDirectory {
 public:
  /// Makes the directory if missing, removes what an unfinished export left in it, and lists `names`. Throws
  /// InputError if the directory holds anything else, or another export is writing to it; OutputError.
  ExportDirectory(const std::string& path, const std::vector<std::string>& names);

  /// All files are written: the list goes.
  void finish();

 private:
  std::string path_;
  std::string list_;
  std::optional<FileLock> lock_;  // on the list
};

}  // namespace granule
