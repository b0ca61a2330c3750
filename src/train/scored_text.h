#pragma once
// Text as likelihood requests, cut into tokens by the rules of lm-evaluation-harness.

#include <string_view>
#include <vector>

#include "data/tokenizer.h"
#include "train/likelihood.h"

namespace granule {

/// `continuation` after `context`: both are encoded in one piece, white space at the end of the context with
/// the continuation; an empty context is the token that begins a text. Throws std::invalid_argument if no
/// token is left to score or `max_length` cannot hold it, or if the tokenizer has no token to begin with.
LikelihoodRequest request_for(Tokenizer& tokenizer, std::string_view context, std::string_view continuation,
                              int64_t max_length);

/// A whole text in windows: each token is scored once. The first window follows the token that begins a text,
/// the others one token of the window before, the last as many as `max_length` has room for.
std::vector<LikelihoodRequest> rolling_requests(Tokenizer& tokenizer, std::string_view text,
                                                int64_t max_length);

}  // namespace granule
