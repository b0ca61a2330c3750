// tokenizer.json, and text in what it accepts: the bytes behind the first NUL.

#include "data/tokenizer.h"
#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto input = granule::text_of(data, size);
  const size_t end = std::min(input.find('\0'), input.size());
  const auto path = granule::write_input("tokenizer.json", input.substr(0, end));
  const auto text = input.substr(std::min(end + 1, input.size()));
  granule::expect_value_or_user_error([&] {
    granule::Tokenizer tokenizer(path);
    for (const bool with_special : {false, true}) {
      const auto ids = tokenizer.encode(text, {.with_template = true, .with_special = with_special});
      for (const auto id : ids) CHECK(id >= 0);
      static_cast<void>(tokenizer.decode(ids));
    }
  });
  return 0;
}
