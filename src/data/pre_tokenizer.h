#pragma once
// Cutting text into the pieces that byte-pair merges never cross: steps of Hugging Face's pre-tokenizers,
// each applied to every piece that the steps before it left.

#include <string>
#include <string_view>
#include <vector>

#include "data/regex.h"

namespace granule {

/// What becomes of the places where a pattern matches.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

struct SplitStep {
  Regex pattern;
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool invert = false;  ///< what does not match is taken for the match
};

/// A pattern that matches exactly `text`.
std::string escaped_pattern(std::string_view text);

/// Appends the pieces of `text` that one step makes, none of them empty.
void split(const SplitStep& step, std::string_view text, std::vector<std::string_view>& pieces);

/// The pieces after all steps, in order; views into `text`, which is valid UTF-8.
std::vector<std::string_view> pre_tokenize(const std::vector<SplitStep>& steps, std::string_view text);

}  // namespace granule
