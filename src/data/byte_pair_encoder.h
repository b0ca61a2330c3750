#pragma once
// Byte-pair encoding of one piece of text: from single bytes or characters, merge again and again the neighbours
// whose merge was learned first, leftmost on ties.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace granule {

/// A map from text that can be asked with a view.
struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
template <class Value>
using TextMap = std::unordered_map<std::string, Value, TextHash, std::equal_to<>>;

struct MergeRule {
  int32_t left;
  int32_t right;
  int32_t merged;
};

/// What stands for characters that a vocabulary of characters lacks.
struct UnknownCharacters {
  std::array<int32_t, 256> bytes;  ///< tokens for the bytes of its UTF-8; -1: none
  std::optional<int32_t> token;    ///< where one of those is missing
  bool fused = false;              ///< `token` stands for neighbours together
};

class BytePairEncoder {
 public:
  /// `ids` holds the single bytes among others or, if `unknown` is given, single characters; rules come in the
  /// order in which they were learned. With `whole_words_first` a piece that is in the vocabulary is taken whole
  /// (tokenizer.json: ignore_merges).
  BytePairEncoder(TextMap<int32_t> ids, const std::vector<MergeRule>& rules, bool whole_words_first,
                  std::optional<UnknownCharacters> unknown = {});

  /// Appends the ids of `piece`, valid UTF-8 for a vocabulary of characters. Throws std::out_of_range naming a byte
  /// or a character that nothing stands for. Not for several threads at once: pieces seen before are remembered.
  void encode(std::string_view piece, std::vector<int64_t>& ids);

 private:
  struct Merge {
    int32_t rank;
    int32_t id;
  };

  std::vector<int32_t> merge(std::string_view piece) const;
  std::vector<int32_t> single_bytes(std::string_view piece) const;
  std::vector<int32_t> single_characters(std::string_view piece) const;
  bool append_byte_tokens(std::string_view character, std::vector<int32_t>& ids) const;
  const Merge* find_merge(int32_t left, int32_t right) const;

  TextMap<int32_t> ids_;
  std::vector<int32_t> id_of_byte_;  // -1: none
  std::unordered_map<uint64_t, Merge> merges_;
  bool whole_words_first_;
  std::optional<UnknownCharacters> unknown_;
  TextMap<std::vector<int32_t>> seen_;
};

}  // namespace granule
