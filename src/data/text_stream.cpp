#include "data/text_stream.h"

#include <utility>

#include "data/utf8.h"

namespace granule {

std::string TextStream::push(int64_t id) {
  if (skip_special_ && tokenizer_.is_special(id)) return "";
  pending_ += tokenizer_.token_text(id);
  const size_t size = complete_utf8_size(pending_);
  auto text = replace_invalid_utf8(std::string_view(pending_).substr(0, size));
  pending_.erase(0, size);
  return text;
}

std::string TextStream::finish() {
  return replace_invalid_utf8(std::exchange(pending_, ""));
}

std::string readable_text(const Tokenizer& tokenizer, const std::vector<int64_t>& ids) {
  std::string text;
  for (const auto id : ids) {
    if (!tokenizer.is_special(id)) text += tokenizer.token_text(id);
  }
  return replace_invalid_utf8(text);
}

}  // namespace granule
