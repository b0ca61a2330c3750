#pragma once
// What fuzz targets share: input as files, and what a parser may throw.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/file.h"
#include "tests/support/temporary_directory.h"

namespace granule {

inline std::string_view text_of(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// Writes a file into a directory of this process and returns its path.
inline std::string write_input(const std::string& name, std::string_view bytes) {
  static const TemporaryDirectory directory;
  const auto path = directory.path(name);
  WriteFile(path).append(bytes);
  return path;
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
