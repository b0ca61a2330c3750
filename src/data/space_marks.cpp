#include "data/space_marks.h"

namespace granule {

namespace {

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string changed;
  for (;;) {
    const auto place = text.find(from);
    changed += text.substr(0, place);
    if (place == std::string_view::npos) return changed;
    changed += to;
    text.remove_prefix(place + from.size());
  }
}

}  // namespace

std::string change_text(const std::vector<TextChange>& changes, std::string_view text, bool with_prefix) {
  std::string changed(text);
  for (const auto& [from, to] : changes) {
    if (!from.empty()) {
      changed = replace_all(changed, from, to);
    } else if (with_prefix && !changed.empty()) {
      changed.insert(0, to);
    }
  }
  return changed;
}

std::string mark_spaces(const Metaspace& metaspace, std::string_view part, TextBefore before) {
  using Prefix = Metaspace::Prefix;
  auto marked = replace_all(part, " ", metaspace.mark);
  const bool wanted = (metaspace.prefix == Prefix::kAlways && before != TextBefore::kText) ||
                      (metaspace.prefix == Prefix::kFirst && before == TextBefore::kNothing);
  if (wanted && !marked.starts_with(metaspace.mark)) marked.insert(0, metaspace.mark);
  return marked;
}

}  // namespace granule
