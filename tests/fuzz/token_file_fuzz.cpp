// PREFIX.idx and PREFIX.bin: the first two bytes say how long the .idx is, the .bin follows it.

#include <algorithm>

#include "data/token_file.h"
#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const auto input = granule::text_of(data, size).substr(2);
  const size_t index_size = std::min<size_t>(data[0] | data[1] << 8, input.size());
  auto prefix = granule::write_input("tokens.idx", input.substr(0, index_size));
  granule::write_input("tokens.bin", input.substr(index_size));
  prefix.resize(prefix.size() - 4);
  granule::expect_value_or_user_error([&] {
    const granule::TokenFile file(prefix, 1000);
    CHECK(file.num_tokens() <= static_cast<int64_t>(size));
    std::vector<int64_t> ids(static_cast<size_t>(file.num_tokens()));
    file.read(0, file.num_tokens(), ids.data());
    for (int64_t document = 0; document < file.num_documents(); ++document) {
      CHECK(file.document_begin(document) + file.document_length(document) <= file.num_tokens());
    }
    for (int64_t sequence = 0; sequence < file.num_sequences(); ++sequence) {
      CHECK(file.sequence_begin(sequence) + file.sequence_length(sequence) <= file.num_tokens());
    }
  });
  return 0;
}
