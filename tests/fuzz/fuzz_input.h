#pragma once
// What fuzz targets share: input as files, and what a parser may throw.

#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/file.h"
#include "tests/support/temporary_directory.h"

namespace granule {

/// Writes a file into a directory of this process and returns its path.
inline std::string write_input(const std::string& name, std::string_view bytes) {
  static const TemporaryDirectory directory;
  const auto path = directory.path(name);
  WriteFile(path).append(bytes);
  return path;
}

/// What stands before the first NUL, and what behind it.
inline std::pair<std::string_view, std::string_view> split_input(std::string_view input) {
  const auto end = input.find('\0');
  if (end == std::string_view::npos) return {input, {}};
  return {input.substr(0, end), input.substr(end + 1)};
}

/// Runs a parser: errors of the user's are what damaged input should end in, all else is a find.
template <class Parse>
void expect_value_or_user_error(const Parse& parse) {
  try {
    parse();
  } catch (const UserError&) {
  }
}

}  // namespace granule
