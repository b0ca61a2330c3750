// Whole safetensors files.

#include "base/safetensors.h"
#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto path = granule::write_input("x.safetensors", granule::text_of(data, size));
  granule::expect_value_or_user_error([&] {
    const granule::SafetensorsFile file(path);
    for (const auto& entry : file.entries()) {
      CHECK(file.find(entry.name) == &entry);
      std::string bytes(entry.num_bytes(), '\0');
      file.read(entry, 0, bytes.data(), bytes.size());
    }
  });
  return 0;
}
