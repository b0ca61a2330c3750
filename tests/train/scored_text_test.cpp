#include "train/scored_text.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/support/evaluation_files.h"

namespace granule {
namespace {

std::vector<int64_t> bytes(std::string_view text) {
  std::vector<int64_t> ids;
  for (const char c : text) ids.push_back(static_cast<uint8_t>(c));
  return ids;
}

class ScoredText : public testing::Test {
 protected:
  LikelihoodRequest request(std::string_view context, std::string_view continuation) {
    return request_for(tokenizer_, context, continuation, 100);
  }

  DataDirectory directory_;
  Tokenizer tokenizer_ = evaluation_tokenizer(directory_);
};

TEST_F(ScoredText, SpaceAtTheEndOfTheContextIsScored) {
  EXPECT_EQ(request("ab", " cd").context, bytes("ab"));
  EXPECT_EQ(request("ab", " cd").continuation, bytes(" cd"));
  EXPECT_EQ(request("ab \n", "cd").context, bytes("ab"));
  EXPECT_EQ(request("ab \n", "cd").continuation, bytes(" \ncd"));
  EXPECT_EQ(request("ab\u3000", "cd").continuation, bytes("\u3000cd"));
}

TEST_F(ScoredText, AnEmptyContextIsTheTokenOfTheTextsEnd) {
  EXPECT_EQ(request("", " x").context, std::vector<int64_t>{257});
  EXPECT_EQ(request("", " x").continuation, bytes(" x"));
  EXPECT_EQ(request("", "<|endoftext|>x").continuation, bytes("x"));
}

TEST_F(ScoredText, WhatGoesBeforeEveryTextComesOnce) {
  auto tokenizer = evaluation_tokenizer(directory_, true);
  EXPECT_EQ(request_for(tokenizer, "a", "b", 9).context, (std::vector<int64_t>{257, 'a'}));
  EXPECT_EQ(request_for(tokenizer, "<|endoftext|>a", "b", 9).context, (std::vector<int64_t>{257, 'a'}));
  EXPECT_EQ(request_for(tokenizer, "", "b", 9).context, (std::vector<int64_t>{257}));
  EXPECT_EQ(request_for(tokenizer, "a", "b", 9).continuation, bytes("b"));
}

TEST_F(ScoredText, RefusesWhatCannotBeScored) {
  EXPECT_THROW(request("a", ""), std::invalid_argument);
  EXPECT_THROW(request("  ", "a"), std::invalid_argument);
  EXPECT_THROW(request("", "<|endoftext|>"), std::invalid_argument);
  EXPECT_THROW(request_for(tokenizer_, "a", "bcd", 2), std::invalid_argument);
  EXPECT_NO_THROW(request_for(tokenizer_, "a", "bcd", 3));
}

// Every token once, after as much as fits: the windows of lm-evaluation-harness, written out.
TEST_F(ScoredText, RollsOverATextInWindows) {
  const auto windows = rolling_requests(tokenizer_, "abcdefghij", 4);
  ASSERT_EQ(windows.size(), 3u);
  EXPECT_EQ(windows[0].context, std::vector<int64_t>{257});
  EXPECT_EQ(windows[0].continuation, bytes("abcd"));
  EXPECT_EQ(windows[1].context, bytes("d"));
  EXPECT_EQ(windows[1].continuation, bytes("efgh"));
  EXPECT_EQ(windows[2].context, bytes("fgh"));
  EXPECT_EQ(windows[2].continuation, bytes("ij"));

  EXPECT_EQ(rolling_requests(tokenizer_, "abc", 4).at(0).continuation, bytes("abc"));
  EXPECT_EQ(rolling_requests(tokenizer_, "abcd", 4).size(), 1u);
  EXPECT_TRUE(rolling_requests(tokenizer_, "", 4).empty());
}

}  // namespace
}  // namespace granule
