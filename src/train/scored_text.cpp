#include "train/scored_text.h"

#include <algorithm>
#include <stdexcept>

#include "base/check.h"
#include "data/utf8.h"

namespace granule {

namespace {

int64_t first_token(const Tokenizer& tokenizer) {
  if (const auto id = tokenizer.begin_of_document()) return *id;
  if (const auto id = tokenizer.end_of_document()) return *id;
  throw std::invalid_argument("the tokenizer has no token that begins or ends a text");
}

// What the tokenizer puts before every text comes once, also where the text spells it out.
std::vector<int64_t> encode_text(Tokenizer& tokenizer, std::string_view text) {
  const auto first = tokenizer.token_text(first_token(tokenizer));
  return tokenizer.encode(text, {.with_template = !text.starts_with(first)});
}

LikelihoodRequest request_without_context(Tokenizer& tokenizer, std::string_view continuation) {
  const int64_t first = first_token(tokenizer);
  auto ids = tokenizer.encode(continuation);
  // A text that begins with the token itself needs no second one.
  if (!ids.empty() && ids.front() == first) ids.erase(ids.begin());
  return {{first}, std::move(ids)};
}

}  // namespace

LikelihoodRequest request_for(Tokenizer& tokenizer, std::string_view context, std::string_view continuation,
                              int64_t max_length) {
  LikelihoodRequest request;
  if (context.empty()) {
    request = request_without_context(tokenizer, continuation);
  } else {
    std::string whole(context);
    whole += continuation;
    context.remove_suffix(trailing_white_space(context));
    const auto ids = encode_text(tokenizer, whole);
    request.context = encode_text(tokenizer, context);
    if (request.context.empty()) throw std::invalid_argument("the query is nothing but white space");
    const auto cut = std::min(request.context.size(), ids.size());
    request.continuation.assign(ids.begin() + static_cast<int64_t>(cut), ids.end());
  }
  if (request.continuation.empty()) throw std::invalid_argument("no token is left to score");
  if (const auto size = static_cast<int64_t>(request.continuation.size()); size > max_length) {
    throw std::invalid_argument(join_text("what is scored has ", size,
                                          " tokens, more than the model reads at once (", max_length, ")"));
  }
  return request;
}

std::vector<LikelihoodRequest> rolling_requests(Tokenizer& tokenizer, std::string_view text,
                                                int64_t max_length) {
  const auto ids = encode_text(tokenizer, text);
  const auto size = static_cast<int64_t>(ids.size());
  const auto range = [&](int64_t begin, int64_t end) {
    return std::vector<int64_t>(ids.begin() + begin, ids.begin() + end);
  };
  std::vector<LikelihoodRequest> windows;
  for (int64_t begin = 0; begin < size; begin += max_length) {
    const int64_t end = std::min(begin + max_length, size);
    // The last token of a window is not read, so one more fits before it.
    windows.push_back(
        {begin == 0 ? std::vector<int64_t>{first_token(tokenizer)} : range(end - max_length - 1, begin),
         range(begin, end)});
  }
  return windows;
}

}  // namespace granule
