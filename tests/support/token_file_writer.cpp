#include "tests/support/token_file_writer.h"

#include <string_view>

namespace granule {

TokenFileWriter::TokenFileWriter(const std::string& prefix, TokenType type)
    : prefix_(prefix), type_(type), bin_(prefix + ".bin") {}

void TokenFileWriter::add_sequence(const std::vector<int64_t>& ids) {
  std::string bytes;
  for (const auto& id : ids) {
    bytes.append(reinterpret_cast<const char*>(&id),
                 static_cast<size_t>(token_size(type_)));  // low bytes first
  }
  bin_.append(bytes);
  lengths_.push_back(static_cast<int32_t>(ids.size()));
}

void TokenFileWriter::end_document() {
  document_ends_.push_back(static_cast<int64_t>(lengths_.size()));
}

void TokenFileWriter::finish() {
  WriteFile idx(prefix_ + ".idx");
  const auto append = [&](auto value) { idx.append(&value, sizeof(value)); };
  idx.append(std::string_view("MMIDIDX\0\0", 9));
  append(uint64_t{1});  // version
  append(type_);
  append(uint64_t{lengths_.size()});
  append(uint64_t{document_ends_.size()});
  for (const auto length : lengths_) append(length);
  int64_t offset = 0;
  for (const auto length : lengths_) {
    append(offset);
    offset += length * token_size(type_);
  }
  for (const auto end : document_ends_) append(end);
}

}  // namespace granule
