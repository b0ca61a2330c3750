#include "base/safetensors.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/targets.h"

namespace granule {

void fuzz_safetensors(std::string_view input) {
  const auto path = write_input("x.safetensors", input);
  expect_value_or_user_error([&] {
    const SafetensorsFile file(path);
    for (const auto& entry : file.entries()) {
      CHECK(file.find(entry.name) == &entry, entry.name);
      std::string bytes(entry.num_bytes(), '\0');
      file.read(entry, 0, bytes.data(), bytes.size());
    }
  });
}

}  // namespace granule
