#pragma once
// A model over bytes with its tokenizer, and files of examples, for tests of evaluation.

#include <string>

#include "data/tokenizer.h"
#include "model/transformer.h"
#include "tests/support/token_files.h"
#include "train/likelihood.h"

namespace granule {

/// The tokenizer of chat_files with <|endoftext|>, id 257; with `begins`, it goes before every text that is
/// encoded with the template.
Tokenizer evaluation_tokenizer(const DataDirectory& directory, bool begins = false);

/// small_config() over these 258 ids.
ModelConfig byte_model_config();

/// What `model` says, without padding, batches or sharing: log-softmax of whole sequences, one by one.
Likelihood naive_likelihood(const Transformer& model, const LikelihoodRequest& request, int64_t max_length);

}  // namespace granule
