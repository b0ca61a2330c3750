#include "data/added_tokens.h"

#include <gtest/gtest.h>

namespace granule {
namespace {

// Text in quotes, tokens as their ids.
std::string shown(const std::vector<TextPart>& parts) {
  std::string text;
  for (const auto& part : parts) {
    text += part.id < 0 ? "'" + std::string(part.text) + "' " : std::to_string(part.id) + " ";
  }
  return text;
}

TEST(AddedTokens, CutsOutTheLeftmostAndOfThoseTheLongest) {
  const AddedTokens tokens({{1, "<a>", true, false}, {2, "<a>b", true, false}, {3, "a>", true, false}});
  EXPECT_EQ(shown(tokens.split("x<a>b<a>a>y", true)), "'x' 2 1 3 'y' ");
  EXPECT_EQ(shown(tokens.split("<a", true)), "'<a' ");
  EXPECT_EQ(shown(tokens.split("", true)), "");
}

TEST(AddedTokens, LeavesNamesOfSpecialTokensInTheTextIfTold) {
  const AddedTokens tokens({{1, "<a>", true, false}, {2, "<b>", false, false}});
  EXPECT_EQ(shown(tokens.split("x<a><b>y", false)), "'x<a>' 2 'y' ");
  const std::vector<int64_t> also_special{2};
  EXPECT_EQ(shown(tokens.split("x<a><b>y", false, also_special)), "'x<a><b>y' ");
  EXPECT_EQ(shown(tokens.split("x<a><b>y", true, also_special)), "'x' 1 2 'y' ");
}

TEST(AddedTokens, LooksForNormalizedTokensInWhatOthersLeave) {
  const AddedTokens tokens({{1, "bc", false, false}, {2, "ab", false, true}});
  EXPECT_EQ(shown(tokens.split("abc ab", true)), "'a' 1 ' ab' ");
  EXPECT_EQ(shown(tokens.split_normalized(" ab", true)), "' ' 2 ");
}

TEST(AddedTokens, NormalizesWhatItLooksForInNormalizedText) {
  const AddedTokens tokens({{1, "a b", false, true}, {2, "c d", false, false}}, {{"", "_"}, {" ", "_"}});
  EXPECT_EQ(shown(tokens.split("a b c d", true)), "'a b ' 2 ");
  EXPECT_EQ(shown(tokens.split_normalized("_a_b_", true)), "1 '_' ");
  EXPECT_EQ(shown(tokens.split_normalized("x a b", true)), "'x a b' ");
}

}  // namespace
}  // namespace granule
