#include <algorithm>

#include "data/token_file.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/targets.h"

namespace granule {

namespace {

constexpr int64_t kVocabSize = 1000;

void read_all(const TokenFile& file) {
  std::vector<int64_t> ids(static_cast<size_t>(file.num_tokens()));
  file.read(0, file.num_tokens(), ids.data());
  for (const auto id : ids) CHECK(0 <= id && id < kVocabSize, id);
  for (int64_t document = 0; document < file.num_documents(); ++document) {
    CHECK(file.document_begin(document) + file.document_length(document) <= file.num_tokens(), document);
  }
}

}  // namespace

void fuzz_token_file(std::string_view input) {
  if (input.size() < 2) return;
  const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<uint8_t>(input[i])); };
  const auto index_size = std::min(byte(0) | byte(1) << 8, input.size() - 2);
  auto prefix = write_input("tokens.idx", input.substr(2, index_size));
  write_input("tokens.bin", input.substr(2 + index_size));
  prefix.resize(prefix.size() - std::string_view(".idx").size());
  expect_value_or_user_error([&] {
    const TokenFile file(prefix, kVocabSize);
    CHECK(file.num_tokens() <= static_cast<int64_t>(input.size()), file.num_tokens());
    read_all(file);
  });
}

}  // namespace granule
