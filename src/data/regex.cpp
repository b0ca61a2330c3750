#include "data/regex.h"

#include <oniguruma.h>

#include <stdexcept>

#include "data/utf8.h"

namespace granule {

namespace {

// Steps back that one search may take: far above what splitting text needs, about a second of time.
constexpr unsigned long kMaxRetries = 50'000'000;

const OnigUChar* bytes_of(std::string_view text) {
  return reinterpret_cast<const OnigUChar*>(text.data());
}

std::string describe(int code, OnigErrorInfo* info) {
  OnigUChar message[ONIG_MAX_ERROR_MESSAGE_LEN];
  const int size = onig_error_code_to_str(message, code, info);
  return {reinterpret_cast<const char*>(message), static_cast<size_t>(size)};
}

struct Region {
  OnigRegion* data = onig_region_new();
  ~Region() { onig_region_free(data, 1); }
};

struct MatchLimits {
  OnigMatchParam* data = onig_new_match_param();
  MatchLimits() {
    onig_initialize_match_param(data);
    onig_set_retry_limit_in_search_of_match_param(data, kMaxRetries);
  }
  ~MatchLimits() { onig_free_match_param(data); }
};

}  // namespace

struct Regex::Compiled {
  regex_t* data = nullptr;
  ~Compiled() { onig_free(data); }
};

Regex::Regex(const std::string& pattern) {
  static const int initialized = [] {
    OnigEncoding encodings[] = {ONIG_ENCODING_UTF8};
    return onig_initialize(encodings, 1);
  }();
  if (initialized != ONIG_NORMAL) throw std::runtime_error("the regular expression engine does not start");
  auto compiled = std::make_shared<Compiled>();
  OnigErrorInfo info;
  const int code = onig_new(&compiled->data, bytes_of(pattern), bytes_of(pattern) + pattern.size(),
                            ONIG_OPTION_NONE, ONIG_ENCODING_UTF8, ONIG_SYNTAX_DEFAULT, &info);
  if (code != ONIG_NORMAL) throw std::invalid_argument(describe(code, &info));
  compiled_ = std::move(compiled);
}

std::vector<Regex::Match> Regex::find_all(std::string_view text) const {
  const Region region;
  const MatchLimits limits;
  const auto* begin = bytes_of(text);
  const auto* end = begin + text.size();
  std::vector<Match> matches;
  for (size_t from = 0; from <= text.size();) {
    const int found = onig_search_with_param(compiled_->data, begin, end, begin + from, end, region.data,
                                             ONIG_OPTION_NONE, limits.data);
    if (found == ONIG_MISMATCH) break;
    if (found < 0) throw std::runtime_error(describe(found, nullptr));
    const Match match{static_cast<size_t>(region.data->beg[0]), static_cast<size_t>(region.data->end[0])};
    if (match.begin == match.end && !matches.empty() && matches.back().end == match.end) {
      from += from < text.size() ? first_character(text.substr(from)).size : 1;
      continue;
    }
    matches.push_back(match);
    from = match.end;
  }
  return matches;
}

}  // namespace granule
