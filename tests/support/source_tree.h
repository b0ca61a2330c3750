#pragma once
// Files of the repository that tests read. Not by __FILE__: the compiler's cache may hand an object on from another clone.

#include <filesystem>
#include <string>

namespace granule {

/// `relative` to the root of the repository: "tests/data/golden".
std::filesystem::path source_path(const std::string& relative);

}  // namespace granule
