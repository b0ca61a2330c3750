#pragma once
// Reads Hugging Face's tokenizer.json as far as it describes a BPE tokenizer, byte-level or, as SentencePiece makes
// them, of characters with marks for spaces. What would change the ids and is not known here is refused by name, never
// ignored.

#include <optional>
#include <string>
#include <vector>

#include "data/added_tokens.h"
#include "data/byte_pair_encoder.h"
#include "data/pre_tokenizer.h"
#include "data/space_marks.h"

namespace granule {

/// What the words of a vocabulary of characters stand for.
struct WordSpelling {
  std::vector<TextChange> changes;  ///< marks back into spaces
  bool byte_tokens = false;         ///< <0x41> is a byte
};

struct TokenizerFile {
  TextMap<int32_t> vocabulary;  ///< as written, with added tokens
  std::vector<MergeRule> merges;
  bool ignore_merges = false;
  /// Of a vocabulary of characters; a byte-level one, whose words are in the byte alphabet, has neither.
  std::optional<UnknownCharacters> unknown;
  std::optional<WordSpelling> spelling;
  std::vector<TextChange> normalizer;
  std::optional<Metaspace> metaspace;
  std::vector<SplitStep> steps;
  std::vector<AddedToken> added;
  std::vector<int64_t> prefix;  ///< ids that the post-processor puts before a text
  std::vector<int64_t> suffix;  ///< and behind it
};

/// Throws InputError naming file and field.
TokenizerFile read_tokenizer_file(const std::string& path);

/// What the tokenizer_config.json beside a tokenizer.json says of special tokens.
struct ConfiguredTokens {
  std::optional<std::string> eos;  ///< eos_token
  std::optional<std::string> bos;  ///< bos_token
  bool bos_prefix = false;         ///< add_bos_token: bos_token goes before every text
};

/// Nothing if there is no such file. Throws InputError if it is damaged.
ConfiguredTokens read_configured_tokens(const std::string& tokenizer_path);

}  // namespace granule
