#pragma once
// Regular expressions over UTF-8 with the engine and syntax that Hugging Face's tokenizers use (Oniguruma),
// so that their patterns mean the same here.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace granule {

class Regex {
 public:
  struct Match {
    size_t begin;
    size_t end;
  };

  /// Throws std::invalid_argument with the engine's reason.
  explicit Regex(const std::string& pattern);

  /// All matches from left to right, none overlapping; an empty match never follows directly behind another
  /// match. `text` is valid UTF-8. Throws std::runtime_error if the pattern backtracks beyond all measure.
  std::vector<Match> find_all(std::string_view text) const;

 private:
  struct Compiled;
  std::shared_ptr<const Compiled> compiled_;
};

}  // namespace granule
