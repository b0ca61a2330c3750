#include "data/pre_tokenizer.h"

#include <gtest/gtest.h>

namespace granule {
namespace {

using Pieces = std::vector<std::string_view>;

Pieces pieces_of(const char* pattern, SplitBehavior behavior, bool invert, std::string_view text) {
  Pieces pieces;
  split({Regex(pattern), behavior, invert}, text, pieces);
  return pieces;
}

TEST(PreTokenizer, SplitsAsEachBehaviorSays) {
  const std::string_view text = "-ab--c-";
  EXPECT_EQ(pieces_of("-", SplitBehavior::kRemoved, false, text), (Pieces{"ab", "c"}));
  EXPECT_EQ(pieces_of("-", SplitBehavior::kIsolated, false, text), (Pieces{"-", "ab", "-", "-", "c", "-"}));
  EXPECT_EQ(pieces_of("-", SplitBehavior::kMergedWithPrevious, false, text), (Pieces{"-", "ab-", "-", "c-"}));
  EXPECT_EQ(pieces_of("-", SplitBehavior::kMergedWithNext, false, text), (Pieces{"-ab", "-", "-c", "-"}));
  EXPECT_EQ(pieces_of("-", SplitBehavior::kContiguous, false, text), (Pieces{"-", "ab", "--", "c", "-"}));
  EXPECT_EQ(pieces_of("-", SplitBehavior::kRemoved, true, text), (Pieces{"-", "-", "-", "-"}));
}

TEST(PreTokenizer, CutsAtEmptyMatches) {
  EXPECT_EQ(pieces_of("(?=[A-Z])", SplitBehavior::kIsolated, false, "aBcD"), (Pieces{"a", "Bc", "D"}));
}

// "$" matches at the end of a piece that an earlier step made, not at the end of the text.
TEST(PreTokenizer, AppliesEachStepToThePiecesOfTheOneBefore) {
  const std::vector<SplitStep> steps{{Regex("x")}, {Regex("\\s+$")}};
  EXPECT_EQ(pre_tokenize(steps, "a  xb "), (Pieces{"a", "  ", "x", "b", " "}));
  EXPECT_EQ(pre_tokenize(steps, ""), Pieces{});
  EXPECT_EQ(pre_tokenize({}, "whole"), Pieces{"whole"});
}

TEST(PreTokenizer, EscapesWhatAPatternWouldTakeForItself) {
  const std::string literal = "a.*+?()[]{}^$|\\-#é ~";
  EXPECT_EQ(pieces_of(escaped_pattern(literal).c_str(), SplitBehavior::kIsolated, false, "x" + literal + "y")
                .size(),
            3u);
  EXPECT_EQ(pieces_of(escaped_pattern(".").c_str(), SplitBehavior::kIsolated, false, "abc"), Pieces{"abc"});
}

}  // namespace
}  // namespace granule
