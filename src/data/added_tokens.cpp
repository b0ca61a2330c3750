#include "data/added_tokens.h"

#include <algorithm>

#include "base/check.h"

namespace granule {

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  for (size_t i = 0; i < tokens_.size(); ++i) {
    CHECK(!tokens_[i].content.empty(), "token ", tokens_[i].id, " has no content");
    auto& index = tokens_[i].normalized ? normalized_ : raw_;
    index[static_cast<uint8_t>(tokens_[i].content[0])].push_back(i);
  }
  const auto longer = [&](size_t a, size_t b) {
    return tokens_[a].content.size() > tokens_[b].content.size();
  };
  for (auto* index : {&raw_, &normalized_}) {
    for (auto& bucket : *index) std::stable_sort(bucket.begin(), bucket.end(), longer);
  }
}

const AddedToken* AddedTokens::find_at(const Index& index, std::string_view text) const {
  for (const auto i : index[static_cast<uint8_t>(text[0])]) {
    if (text.starts_with(tokens_[i].content)) return &tokens_[i];
  }
  return nullptr;
}

void AddedTokens::split_by(const Index& index, std::string_view text, bool with_special,
                           std::vector<TextPart>& parts) const {
  size_t begin = 0;
  for (size_t place = 0; place < text.size();) {
    const auto* token = find_at(index, text.substr(place));
    if (token == nullptr) {
      ++place;
      continue;
    }
    const size_t end = place + token->content.size();
    if (with_special || !token->special) {
      if (place > begin) parts.push_back({text.substr(begin, place - begin)});
      parts.push_back({text.substr(place, end - place), token->id});
      begin = end;
    }
    place = end;
  }
  if (begin < text.size()) parts.push_back({text.substr(begin)});
}

std::vector<TextPart> AddedTokens::split(std::string_view text, bool with_special) const {
  std::vector<TextPart> coarse;
  split_by(raw_, text, with_special, coarse);
  std::vector<TextPart> parts;
  for (const auto& part : coarse) {
    if (part.id >= 0)
      parts.push_back(part);
    else
      split_by(normalized_, part.text, with_special, parts);
  }
  return parts;
}

}  // namespace granule
