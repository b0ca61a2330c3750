#include "data/added_tokens.h"

#include <algorithm>

#include "base/check.h"

namespace granule {

AddedTokens::AddedTokens(std::vector<AddedToken> tokens, const std::vector<TextChange>& normalizer)
    : tokens_(std::move(tokens)) {
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const auto& token = tokens_[i];
    CHECK(!token.content.empty(), "token ", token.id, " has no content");
    sought_.push_back(token.normalized ? change_text(normalizer, token.content) : token.content);
    if (sought_[i].empty()) continue;
    auto& index = token.normalized ? normalized_ : raw_;
    index[static_cast<uint8_t>(sought_[i][0])].push_back(i);
  }
  const auto longer = [&](size_t a, size_t b) { return sought_[a].size() > sought_[b].size(); };
  for (auto* index : {&raw_, &normalized_}) {
    for (auto& bucket : *index) std::stable_sort(bucket.begin(), bucket.end(), longer);
  }
}

// The number of tokens if there is none.
size_t AddedTokens::find_at(const Index& index, std::string_view text) const {
  for (const auto i : index[static_cast<uint8_t>(text[0])]) {
    if (text.starts_with(sought_[i])) return i;
  }
  return tokens_.size();
}

std::vector<TextPart> AddedTokens::split_by(const Index& index, std::string_view text, bool with_special,
                                            std::span<const int64_t> also_special) const {
  const auto is_special = [&](const AddedToken& token) {
    return token.special || std::find(also_special.begin(), also_special.end(), token.id) != also_special.end();
  };
  std::vector<TextPart> parts;
  size_t begin = 0;
  for (size_t place = 0; place < text.size();) {
    const auto found = find_at(index, text.substr(place));
    if (found == tokens_.size()) {
      ++place;
      continue;
    }
    const size_t end = place + sought_[found].size();
    if (with_special || !is_special(tokens_[found])) {
      if (place > begin) parts.push_back({text.substr(begin, place - begin)});
      parts.push_back({text.substr(place, end - place), tokens_[found].id});
      begin = end;
    }
    place = end;
  }
  if (begin < text.size()) parts.push_back({text.substr(begin)});
  return parts;
}

}  // namespace granule
