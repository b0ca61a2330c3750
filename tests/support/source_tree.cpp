#include "tests/support/source_tree.h"

namespace granule {

std::filesystem::path source_path(const std::string& relative) {
  return std::filesystem::path(GRANULE_SOURCE_DIR) / relative;
}

}  // namespace granule
