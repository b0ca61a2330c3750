#pragma once
// Tokens that are cut out of the text before any other rule sees it: <|endoftext|> and the like.

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/space_marks.h"

namespace granule {

struct AddedToken {
  int64_t id;
  std::string content;
  bool special;     ///< stands for no text: no bytes of its own, left out of decoded text on request
  bool normalized;  ///< looked for, itself normalized, only in what tokens without this mark have left
};

/// A stretch of text, or an added token in its place.
struct TextPart {
  std::string_view text;
  int64_t id = -1;  ///< -1: text
};

class AddedTokens {
 public:
  AddedTokens() = default;
  /// Contents are not empty.
  explicit AddedTokens(std::vector<AddedToken> tokens, const std::vector<TextChange>& normalizer = {});

  const std::vector<AddedToken>& all() const { return tokens_; }
  /// Finds the leftmost token and of those the longest, again and again. Without `with_special`, the names of
  /// special tokens and of those in `also_special` remain text. Parts are not empty.
  std::vector<TextPart> split(std::string_view text, bool with_special,
                              std::span<const int64_t> also_special = {}) const {
    return split_by(raw_, text, with_special, also_special);
  }
  /// The same of text that `split` left, after the normalizer, by tokens that are normalized.
  std::vector<TextPart> split_normalized(std::string_view text, bool with_special,
                                         std::span<const int64_t> also_special = {}) const {
    return split_by(normalized_, text, with_special, also_special);
  }

 private:
  // Indices of tokens by first byte, longest first.
  using Index = std::array<std::vector<size_t>, 256>;

  size_t find_at(const Index& index, std::string_view text) const;
  std::vector<TextPart> split_by(const Index& index, std::string_view text, bool with_special,
                                 std::span<const int64_t> also_special) const;

  std::vector<AddedToken> tokens_;
  std::vector<std::string> sought_;  // of each token, what is looked for
  Index raw_;
  Index normalized_;
};

}  // namespace granule
