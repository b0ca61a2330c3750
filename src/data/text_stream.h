#pragma once
// Text from tokens that go on from others, as they come, never ending inside a UTF-8 character.

#include <string>

#include "data/tokenizer.h"

namespace granule {

class TextStream {
 public:
  /// Special tokens are left out of the text with `skip_special`.
  explicit TextStream(const Tokenizer& tokenizer, bool skip_special = true)
      : tokenizer_(tokenizer), skip_special_(skip_special) {}

  /// The characters that this token completes, often none; broken UTF-8 becomes U+FFFD.
  std::string push(int64_t id);
  /// What an unfinished character leaves at the end.
  std::string finish();

 private:
  const Tokenizer& tokenizer_;
  bool skip_special_;
  std::string pending_;
};

/// The same of all `ids` at once, without special tokens.
std::string readable_text(const Tokenizer& tokenizer, const std::vector<int64_t>& ids);

}  // namespace granule
