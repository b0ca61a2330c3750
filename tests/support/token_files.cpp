#include "tests/support/token_files.h"

#include <fstream>
#include <memory>

#include "base/file.h"
#include "base/random.h"
#include "tests/support/token_file_writer.h"

namespace granule {

std::string DataDirectory::write_tokens(const std::string& name, const Documents& documents,
                                        TokenType type) const {
  TokenFileWriter writer(path(name), type);
  for (const auto& document : documents) {
    if (!document.empty()) writer.add_sequence(document);
    writer.end_document();
  }
  writer.finish();
  return path(name);
}

std::string DataDirectory::write_bytes(const std::string& name, const std::string& bytes) const {
  std::ofstream(path(name), std::ios::binary) << bytes;
  return path(name);
}

Documents random_documents(int64_t count, int64_t max_length, int64_t vocab_size, uint64_t seed) {
  Documents documents;
  for (int64_t d = 0; d < count; ++d) {
    const RandomStream stream(seed, join_text("document/", d));
    const auto length = 1 + stream.below(static_cast<uint64_t>(max_length), 0);
    auto& document = documents.emplace_back();
    for (uint64_t i = 1; i < length; ++i) {
      document.push_back(1 + static_cast<int64_t>(stream.below(static_cast<uint64_t>(vocab_size - 1), i)));
    }
    document.push_back(0);
  }
  return documents;
}

std::vector<int64_t> joined(const Documents& documents) {
  std::vector<int64_t> all;
  for (const auto& document : documents) all.insert(all.end(), document.begin(), document.end());
  return all;
}

Sample read_sample(SampleSource& source, int64_t index) {
  const auto S = static_cast<size_t>(source.seq_length());
  Sample sample{std::vector<int64_t>(S + 1, -77), {}, std::vector<int64_t>(S, -77)};
  const auto mask = std::make_unique<bool[]>(S);
  source.read(index, {sample.token.data(), mask.get(), sample.segment.data()});
  sample.loss_mask.assign(mask.get(), mask.get() + S);
  return sample;
}

std::string read_bytes(const std::string& path) {
  return read_text_file(path, uint64_t{1} << 30);
}

}  // namespace granule
