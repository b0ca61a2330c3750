// Config files.

#include "base/yaml_node.h"
#include "tests/fuzz/fuzz_input.h"

namespace {

size_t count_nodes(const granule::YamlNode& node) {
  size_t count = 1;
  for (const auto& item : node.items) count += count_nodes(item);
  for (const auto& [key, value] : node.entries) count += count_nodes(value);
  return count;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  granule::expect_value_or_user_error([&] {
    const auto root = granule::parse_yaml(std::string(granule::text_of(data, size)), "fuzz");
    CHECK(count_nodes(root) <= 2 * size + 1);
  });
  return 0;
}
