#pragma once
// What `granule inspect` prints of data: a token file in words, a batch and a text's tokens as JSON.

#include <cstdint>
#include <string>
#include <string_view>

#include "data/batch.h"
#include "data/tokenizer.h"

namespace granule {

/// Numbers of a token file, a line each. Reads all ids; throws InputError like TokenFile.
std::string summarize_token_file(const std::string& prefix);

/// {"step": S, "tokens": [[S + 1 ids], ...], "loss_mask": [[0 or 1, ...], ...], "segments": [[...], ...]}
std::string batch_as_json(int64_t step, const Batch& batch);

/// {"ids": [...], "tokens": ["...", ...], "bytes": N}: how a tokenizer sees a text; tokens show bytes outside
/// UTF-8 as U+FFFD.
std::string tokens_as_json(Tokenizer& tokenizer, std::string_view text, const EncodeOptions& options = {});

}  // namespace granule
