#include "data/pre_tokenizer.h"

#include <cctype>

namespace granule {

namespace {

struct Span {
  size_t begin;
  size_t end;
  bool match;
};

// Matches and the gaps between them; empty matches stay, since they end what was before them.
std::vector<Span> spans_of(const SplitStep& step, std::string_view text) {
  std::vector<Span> spans;
  size_t end = 0;
  for (const auto& match : step.pattern.find_all(text)) {
    if (match.begin > end) spans.push_back({end, match.begin, step.invert});
    spans.push_back({match.begin, match.end, !step.invert});
    end = match.end;
  }
  if (end < text.size()) spans.push_back({end, text.size(), step.invert});
  return spans;
}

// Joins a span to the one before it where `joins` says so of the two.
template <class Joins>
std::vector<Span> join_neighbours(const std::vector<Span>& spans, Joins joins) {
  std::vector<Span> joined;
  for (size_t i = 0; i < spans.size(); ++i) {
    if (i > 0 && joins(spans[i - 1], spans[i])) {
      joined.back().end = spans[i].end;
    } else {
      joined.push_back(spans[i]);
    }
  }
  return joined;
}

std::vector<Span> merge_spans(SplitBehavior behavior, const std::vector<Span>& spans) {
  switch (behavior) {
    case SplitBehavior::kMergedWithPrevious:
      return join_neighbours(spans, [](auto& before, auto& span) { return span.match && !before.match; });
    case SplitBehavior::kMergedWithNext:
      return join_neighbours(spans, [](auto& before, auto& span) { return before.match && !span.match; });
    case SplitBehavior::kContiguous:
      return join_neighbours(spans, [](auto& before, auto& span) { return before.match == span.match; });
    case SplitBehavior::kRemoved:
    case SplitBehavior::kIsolated:
      break;
  }
  return spans;
}

}  // namespace

std::string escaped_pattern(std::string_view text) {
  std::string pattern;
  for (const char c : text) {
    if (std::ispunct(static_cast<unsigned char>(c))) pattern += '\\';
    pattern += c;
  }
  return pattern;
}

void split(const SplitStep& step, std::string_view text, std::vector<std::string_view>& pieces) {
  for (const auto& span : merge_spans(step.behavior, spans_of(step, text))) {
    const bool removed = step.behavior == SplitBehavior::kRemoved && span.match;
    if (!removed && span.end > span.begin) pieces.push_back(text.substr(span.begin, span.end - span.begin));
  }
}

std::vector<std::string_view> pre_tokenize(const std::vector<SplitStep>& steps, std::string_view text) {
  std::vector<std::string_view> pieces;
  if (!text.empty()) pieces.push_back(text);
  for (const auto& step : steps) {
    std::vector<std::string_view> finer;
    for (const auto piece : pieces) split(step, piece, finer);
    pieces = std::move(finer);
  }
  return pieces;
}

}  // namespace granule
