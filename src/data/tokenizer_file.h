#pragma once
// Reads Hugging Face's tokenizer.json as far as it describes a byte-level BPE tokenizer. What would change
// the ids and is not known here is refused by name, never ignored.

#include <optional>
#include <string>
#include <vector>

#include "data/added_tokens.h"
#include "data/byte_pair_encoder.h"
#include "data/pre_tokenizer.h"

namespace granule {

struct TokenizerFile {
  TextMap<int32_t> vocabulary;  ///< as written: words in the byte alphabet, and added tokens
  std::vector<MergeRule> merges;
  bool ignore_merges = false;
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
