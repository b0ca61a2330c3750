#pragma once
// Text to ids and back with the tokenizer.json of a run: BPE of bytes, or of characters as SentencePiece makes it, the
// same ids as Hugging Face's tokenizers.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/added_tokens.h"
#include "data/byte_pair_encoder.h"
#include "data/pre_tokenizer.h"
#include "data/tokenizer_file.h"

namespace granule {

struct EncodeOptions {
  bool with_template = false;  ///< add what the post-processor adds: usually the token that begins a text
  bool with_special =
      true;  ///< names of special tokens in the text become those tokens; false: they are text
  std::span<const int64_t> also_special = {};  ///< added tokens that count as special, whatever the file says
  /// What stands before the text, if it is only a part of one: says whether a space is put before it.
  TextBefore before = TextBefore::kNothing;
};

class Tokenizer {
 public:
  /// Throws InputError naming file and field for a damaged file or one that is no BPE tokenizer of a known kind.
  explicit Tokenizer(const std::string& path);

  const std::string& path() const { return path_; }
  /// One more than the largest id.
  int64_t vocab_size() const { return static_cast<int64_t>(special_.size()); }

  /// Broken UTF-8 is read as U+FFFD, one for each broken sequence. Throws InputError for a byte that the
  /// vocabulary lacks. Not for several threads at once.
  std::vector<int64_t> encode(std::string_view text, const EncodeOptions& options = {});
  /// What a model goes on from: behind `text_prefix`, once even if the text spells it out, and without what
  /// ends a text. An empty text is the token that begins one, else the one that ends one; nothing if there is
  /// neither.
  std::vector<int64_t> encode_prompt(std::string_view text);

  /// The bytes of one token, wherever in a text: not always valid UTF-8, since a token may hold part of a character.
  /// For special ones their name; empty for ids that no token has.
  std::string_view token_text(int64_t id) const;
  /// Bytes of text that the token stands for: none for special ones. Bits per byte are counted with this, and with
  /// it the space that vocabularies of characters have before a text.
  int64_t num_bytes(int64_t id) const;
  bool is_special(int64_t id) const;

  /// The added token of this name.
  std::optional<int64_t> find_added(std::string_view content) const;
  /// Names of all added tokens, in the file's order.
  std::vector<std::string> added_names() const;
  /// What `with_template` puts before a text: usually the token that begins one, or nothing.
  const std::vector<int64_t>& text_prefix() const { return prefix_; }
  /// The token that begins a text: bos_token of the tokenizer_config.json beside the file, else the first of
  /// `text_prefix`; nothing for many.
  std::optional<int64_t> begin_of_document() const { return begin_of_document_; }
  /// The token that ends a document: eos_token of the tokenizer_config.json beside the file, else
  /// <|endoftext|>.
  std::optional<int64_t> end_of_document() const { return end_of_document_; }
  /// The same as a list: what ends a text that a model writes.
  std::vector<int64_t> stop_ids() const {
    return end_of_document_ ? std::vector<int64_t>{*end_of_document_} : std::vector<int64_t>{};
  }

 private:
  Tokenizer(const std::string& path, TokenizerFile file);
  void fill_texts(const TokenizerFile& file);
  void encode_part(std::string_view text, const EncodeOptions& options, TextBefore before, std::vector<int64_t>& ids);

  std::string path_;
  AddedTokens added_;
  std::vector<TextChange> normalizer_;
  std::optional<Metaspace> metaspace_;
  std::vector<SplitStep> steps_;
  BytePairEncoder encoder_;
  std::vector<int64_t> prefix_;
  std::vector<int64_t> suffix_;
  std::string text_;                  // of all tokens, back to back
  std::vector<uint32_t> text_begin_;  // by id, one more than ids
  std::vector<bool> special_;         // by id
  std::optional<int64_t> begin_of_document_;
  std::optional<int64_t> end_of_document_;
};

/// Throws ConfigError if one of `ids` is none of a model's `vocab_size`.
void check_ids(const std::vector<int64_t>& ids, int64_t vocab_size, const Tokenizer& tokenizer);

}  // namespace granule
