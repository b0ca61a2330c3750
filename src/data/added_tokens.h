#pragma once
// Tokens that are cut out of the text before any other rule sees it: <|endoftext|> and the like.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace granule {

struct AddedToken {
  int64_t id;
  std::string content;
  bool special;     ///< stands for no text: no bytes of its own, left out of decoded text on request
  bool normalized;  ///< looked for only in what tokens without this mark have left
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
  explicit AddedTokens(std::vector<AddedToken> tokens);

  const std::vector<AddedToken>& all() const { return tokens_; }
  /// Finds the leftmost token and of those the longest, again and again. Without `with_special`, the names of
  /// special tokens remain text. Parts are not empty.
  std::vector<TextPart> split(std::string_view text, bool with_special) const;

 private:
  // Indices of tokens by first byte, longest first.
  using Index = std::array<std::vector<size_t>, 256>;

  const AddedToken* find_at(const Index& index, std::string_view text) const;
  void split_by(const Index& index, std::string_view text, bool with_special,
                std::vector<TextPart>& parts) const;

  std::vector<AddedToken> tokens_;
  Index raw_;
  Index normalized_;
};

}  // namespace granule
