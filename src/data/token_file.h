#pragma once
// Token files in the format of Megatron's indexed data sets: PREFIX.bin holds the ids of all sequences back
// to back, PREFIX.idx their lengths, offsets and how they form documents. Everything an index claims is
// compared with the sizes of both files before it is used.

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "base/file.h"

namespace granule {

/// How an id is stored; the values are the format's.
enum class TokenType : uint8_t { kU8 = 1, kI8 = 2, kI16 = 3, kI32 = 4, kI64 = 5, kU16 = 8 };

/// Bytes of one id.
int64_t token_size(TokenType type);
/// "u16", "i32" ...
const char* token_type_name(TokenType type);

/// Opened for reading by position (pread): safe to use from several threads, and a file that becomes shorter
/// while in use is an InputError.
class TokenFile {
 public:
  /// Throws InputError naming file, field, expected and actual value. `vocab_size` bounds the ids that may be
  /// read.
  explicit TokenFile(const std::string& prefix, int64_t vocab_size = std::numeric_limits<int64_t>::max());

  const std::string& prefix() const { return prefix_; }
  TokenType type() const { return type_; }
  int64_t num_tokens() const { return sequence_begin_.back(); }
  int64_t num_sequences() const { return static_cast<int64_t>(sequence_begin_.size()) - 1; }
  int64_t num_documents() const { return static_cast<int64_t>(document_begin_.size()) - 1; }

  /// Position of a document's first token; `num_documents()` gives the end. Documents may be empty.
  int64_t document_begin(int64_t document) const;
  int64_t document_length(int64_t document) const;

  /// Ids at positions [begin, begin + count). Throws InputError for an id outside [0, vocab_size).
  void read(int64_t begin, int64_t count, int64_t* out) const;

 private:
  template <class Id>
  void read_as(int64_t begin, int64_t count, int64_t* out) const;

  std::string prefix_;
  int64_t vocab_size_;
  ReadFile bin_;
  TokenType type_ = TokenType::kI32;
  std::vector<int64_t> sequence_begin_;  // in tokens, one more than sequences
  std::vector<int64_t> document_begin_;  // in sequences, one more than documents
};

}  // namespace granule
