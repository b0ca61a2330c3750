#include "data/text_stream.h"
#include "data/tokenizer.h"
#include "data/utf8.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/targets.h"

namespace granule {

namespace {

std::string stream_text(const Tokenizer& tokenizer, const std::vector<int64_t>& ids) {
  TextStream stream(tokenizer);
  std::string text;
  for (const auto id : ids) text += stream.push(id);
  return text + stream.finish();
}

}  // namespace

void fuzz_tokenizer(std::string_view input) {
  const auto [file, text] = split_input(input);
  const auto path = write_input("tokenizer.json", file);
  expect_value_or_user_error([&, text = text] {
    Tokenizer tokenizer(path);
    for (const bool with_special : {false, true}) {
      const auto ids = tokenizer.encode(text, {.with_template = true, .with_special = with_special});
      for (const auto id : ids) CHECK(0 <= id && id < tokenizer.vocab_size(), id);
      CHECK(stream_text(tokenizer, ids) == readable_text(tokenizer, ids), "text of a stream");
    }
  });
}

}  // namespace granule
