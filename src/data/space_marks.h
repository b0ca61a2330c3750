#pragma once
// What SentencePiece vocabularies do to text before it is cut into pieces: a mark in place of every space, and
// one before the text.

#include <string>
#include <string_view>
#include <vector>

namespace granule {

/// A normalizer's step: `to` in place of every `from`; an empty `from` puts `to` before text that is not empty.
struct TextChange {
  std::string from;
  std::string to;
};

/// The text after all changes; without `with_prefix` nothing is put before it.
std::string change_text(const std::vector<TextChange>& changes, std::string_view text, bool with_prefix = true);

/// The pre-tokenizer Metaspace.
struct Metaspace {
  enum class Prefix { kNever, kFirst, kAlways };

  std::string mark;
  Prefix prefix = Prefix::kAlways;  ///< before which parts of a text a mark is put, unless there is one
};

/// What stands before a part of a text.
enum class TextBefore { kNothing, kToken, kText };

/// The part with its spaces marked; one that goes on from text gets no mark before it.
std::string mark_spaces(const Metaspace& metaspace, std::string_view part, TextBefore before);

}  // namespace granule
