#include "data/regex.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace granule {
namespace {

std::vector<std::pair<size_t, size_t>> find(const std::string& pattern, const std::string& text) {
  std::vector<std::pair<size_t, size_t>> found;
  for (const auto& [begin, end] : Regex(pattern).find_all(text)) found.emplace_back(begin, end);
  return found;
}

using Places = std::vector<std::pair<size_t, size_t>>;

TEST(Regex, FindsMatchesFromLeftToRight) {
  EXPECT_EQ(find("a+", "aa b aaa"), (Places{{0, 2}, {5, 8}}));
  EXPECT_EQ(find("x", "aa"), Places{});
  EXPECT_EQ(find("a", ""), Places{});
  EXPECT_EQ(find("\\p{L}+", "é1日本"), (Places{{0, 2}, {3, 9}}));
}

TEST(Regex, NeverPutsAnEmptyMatchBehindAnotherMatch) {
  EXPECT_EQ(find("a*", "baac"), (Places{{0, 0}, {1, 3}, {4, 4}}));
  EXPECT_EQ(find("(?=é)", "éé"), (Places{{0, 0}, {2, 2}}));
}

TEST(Regex, TakesTheEndOfALineForDollar) {
  EXPECT_EQ(find("\\s+$", "a  \nb "), (Places{{1, 3}, {5, 6}}));
}

TEST(Regex, RefusesBrokenPatterns) {
  for (const char* pattern : {"(a", "[a", "a{2,1}(?<", "\\p{Nonsense}", "*"}) {
    EXPECT_THROW(Regex{pattern}, std::invalid_argument) << pattern;
  }
}

TEST(Regex, GivesUpOnPatternsThatBacktrackWithoutEnd) {
  EXPECT_THROW(find("(?:a|a)+[^ab]", std::string(40, 'a') + "b"), std::runtime_error);
}

}  // namespace
}  // namespace granule
