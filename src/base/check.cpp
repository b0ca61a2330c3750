#include "base/check.h"

namespace granule::detail {

void fail_check(const char* file, int line, const char* condition, const std::string& text) {
  throw std::logic_error(
      join_text(file, ":", line, ": check failed: ", condition, text.empty() ? "" : ": ", text));
}

}  // namespace granule::detail
