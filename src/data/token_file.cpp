#include "data/token_file.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "base/check.h"

namespace granule {

namespace {

constexpr std::string_view kMagic("MMIDIDX\0\0", 9);
constexpr uint64_t kVersion = 1;
constexpr uint64_t kHeaderSize = 34;

struct Header {
  TokenType type;
  uint64_t num_sequences;
  uint64_t num_document_entries;
};

template <class Value>
Value load(const char* bytes) {
  Value value;
  std::memcpy(&value, bytes, sizeof(value));
  return value;
}

TokenType checked_type(uint8_t code, const std::string& path) {
  switch (static_cast<TokenType>(code)) {
    case TokenType::kU8:
    case TokenType::kI8:
    case TokenType::kI16:
    case TokenType::kI32:
    case TokenType::kI64:
    case TokenType::kU16:
      return static_cast<TokenType>(code);
  }
  throw InputError(path, "field dtype (offset 17) is ", int{code},
                   ", expected an integer type: 1 (u8), 2 (i8), 3 (i16), 4 (i32), 5 (i64) or 8 (u16)");
}

Header read_header(const ReadFile& idx) {
  const auto& path = idx.path();
  if (idx.size() < kHeaderSize) {
    throw InputError(path, "is ", idx.size(), " bytes long, the header of a token index takes ", kHeaderSize);
  }
  char bytes[kHeaderSize];
  idx.read_at(0, bytes, kHeaderSize);
  if (std::string_view(bytes, kMagic.size()) != kMagic) {
    throw InputError(path, "does not begin with MMIDIDX: no token index");
  }
  const auto version = load<uint64_t>(bytes + 9);
  if (version != kVersion)
    throw InputError(path, "field version (offset 9) is ", version, ", expected ", kVersion);
  const Header header{checked_type(load<uint8_t>(bytes + 17), path), load<uint64_t>(bytes + 18),
                      load<uint64_t>(bytes + 26)};
  // A sequence takes 12 bytes and a document entry 8, so neither count can exceed the size: no overflow
  // below.
  if (header.num_sequences > idx.size() || header.num_document_entries > idx.size()) {
    throw InputError(path, "claims ", header.num_sequences, " sequences and ", header.num_document_entries,
                     " document entries, more than fit in its ", idx.size(), " bytes");
  }
  const uint64_t expected = kHeaderSize + 12 * header.num_sequences + 8 * header.num_document_entries;
  const uint64_t with_modes = expected + header.num_sequences;
  if (idx.size() != expected && idx.size() != with_modes) {
    throw InputError(path, "is ", idx.size(), " bytes long, but ", header.num_sequences, " sequences and ",
                     header.num_document_entries, " document entries take ", expected);
  }
  return header;
}

// Calls `use(i, value)` for `count` values stored from `offset`, reading a bounded block at a time.
template <class Value, class Use>
void for_each_value(const ReadFile& file, uint64_t offset, uint64_t count, Use use) {
  constexpr uint64_t kBlock = 1 << 16;
  std::vector<Value> block(std::min(count, kBlock));
  for (uint64_t first = 0; first < count; first += kBlock) {
    const uint64_t size = std::min(kBlock, count - first);
    file.read_at(offset + first * sizeof(Value), block.data(), size * sizeof(Value));
    for (uint64_t i = 0; i < size; ++i) use(first + i, block[i]);
  }
}

std::vector<int64_t> read_sequences(const ReadFile& idx, const Header& header, const ReadFile& bin) {
  const auto& path = idx.path();
  const int64_t item = token_size(header.type);
  const auto num_ids = static_cast<int64_t>(bin.size()) / item;
  std::vector<int64_t> begin{0};
  begin.reserve(header.num_sequences + 1);
  for_each_value<int32_t>(idx, kHeaderSize, header.num_sequences, [&](uint64_t i, int32_t length) {
    if (length < 0) throw InputError(path, "length of sequence ", i, " is ", length, ", expected at least 0");
    begin.push_back(begin.back() + length);
    if (begin.back() > num_ids) {
      throw InputError(path, "sequence ", i, " ends at token ", begin.back(), ", but ", bin.path(),
                       " holds only ", num_ids, " ids of type ", token_type_name(header.type));
    }
  });
  for_each_value<int64_t>(idx, kHeaderSize + 4 * header.num_sequences, header.num_sequences,
                          [&](uint64_t i, int64_t offset) {
                            if (offset == begin[i] * item) return;
                            throw InputError(path, "offset of sequence ", i, " is ", offset, ", expected ",
                                             begin[i] * item, ", the end of those before it");
                          });
  const auto expected = static_cast<uint64_t>(begin.back() * item);
  if (bin.size() != expected) {
    throw InputError(bin.path(), "is ", bin.size(), " bytes long, but ", path, " describes ", expected, " (",
                     begin.back(), " ids of type ", token_type_name(header.type), ")");
  }
  return begin;
}

std::vector<int64_t> read_documents(const ReadFile& idx, const Header& header) {
  const auto& path = idx.path();
  const auto num_sequences = static_cast<int64_t>(header.num_sequences);
  std::vector<int64_t> documents;
  documents.reserve(header.num_document_entries);
  for_each_value<int64_t>(idx, kHeaderSize + 12 * header.num_sequences, header.num_document_entries,
                          [&](uint64_t i, int64_t sequence) {
                            const int64_t least = documents.empty() ? 0 : documents.back();
                            if (sequence < least || sequence > num_sequences) {
                              throw InputError(path, "document entry ", i, " is ", sequence, ", expected ",
                                               least, " to ", num_sequences);
                            }
                            documents.push_back(sequence);
                          });
  if (documents.empty())
    throw InputError(path, "field document entries (offset 26) is 0, expected at least 1");
  if (documents.front() != 0)
    throw InputError(path, "document entry 0 is ", documents.front(), ", expected 0");
  if (documents.back() != num_sequences) {
    throw InputError(path, "the last document entry is ", documents.back(), ", expected ", num_sequences,
                     ", the number of sequences");
  }
  return documents;
}

// A missing file ends with the hint that the argument is a prefix.
ReadFile open_part(const std::string& prefix, const char* extension) {
  if (prefix.ends_with(".bin") || prefix.ends_with(".idx")) {
    throw InputError(prefix, "name the pair of token files without .bin or .idx");
  }
  return ReadFile(prefix + extension);
}

template <class Use>
auto with_token_type(TokenType type, Use use) {
  switch (type) {
    case TokenType::kU8:
      return use(uint8_t{});
    case TokenType::kI8:
      return use(int8_t{});
    case TokenType::kI16:
      return use(int16_t{});
    case TokenType::kI32:
      return use(int32_t{});
    case TokenType::kI64:
      return use(int64_t{});
    case TokenType::kU16:
      break;
  }
  return use(uint16_t{});
}

}  // namespace

int64_t token_size(TokenType type) {
  return with_token_type(type, [](auto id) { return static_cast<int64_t>(sizeof(id)); });
}

const char* token_type_name(TokenType type) {
  switch (type) {
    case TokenType::kU8:
      return "u8";
    case TokenType::kI8:
      return "i8";
    case TokenType::kI16:
      return "i16";
    case TokenType::kI32:
      return "i32";
    case TokenType::kI64:
      return "i64";
    case TokenType::kU16:
      break;
  }
  return "u16";
}

TokenFile::TokenFile(const std::string& prefix, int64_t vocab_size)
    : prefix_(prefix), vocab_size_(vocab_size), bin_(open_part(prefix, ".bin")) {
  const auto idx = open_part(prefix, ".idx");
  const auto header = read_header(idx);
  type_ = header.type;
  sequence_begin_ = read_sequences(idx, header, bin_);
  document_begin_ = read_documents(idx, header);
}

int64_t TokenFile::document_begin(int64_t document) const {
  CHECK(0 <= document && document <= num_documents(), "document ", document, " of ", num_documents());
  return sequence_begin_[static_cast<size_t>(document_begin_[static_cast<size_t>(document)])];
}

int64_t TokenFile::document_length(int64_t document) const {
  return document_begin(document + 1) - document_begin(document);
}

void TokenFile::read(int64_t begin, int64_t count, int64_t* out) const {
  CHECK(0 <= begin && 0 <= count && count <= num_tokens() - begin, "positions ", begin, " and ", count,
        " on, of ", num_tokens());
  with_token_type(type_, [&](auto id) { read_as<decltype(id)>(begin, count, out); });
}

template <class Id>
void TokenFile::read_as(int64_t begin, int64_t count, int64_t* out) const {
  // Narrow ids go to the end of `out` first and are widened from the front: no second buffer.
  auto* narrow = reinterpret_cast<char*>(out) + static_cast<size_t>(count) * (sizeof(int64_t) - sizeof(Id));
  bin_.read_at(static_cast<uint64_t>(begin) * sizeof(Id), narrow, static_cast<size_t>(count) * sizeof(Id));
  for (int64_t i = 0; i < count; ++i) {
    const auto id = static_cast<int64_t>(load<Id>(narrow + static_cast<size_t>(i) * sizeof(Id)));
    if (id < 0 || id >= vocab_size_) {
      throw InputError(bin_.path(), "token ", begin + i, " (offset ",
                       (begin + i) * static_cast<int64_t>(sizeof(Id)), ") is ", id, ", expected 0 to ",
                       vocab_size_ - 1, ": written for another vocabulary?");
    }
    out[i] = id;
  }
}

}  // namespace granule
