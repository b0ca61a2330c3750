#include "data/utf8.h"

#include <gtest/gtest.h>

#include "tests/support/byte_words.h"

namespace granule {
namespace {

TEST(Utf8, AcceptsExactlyTheCharactersOfUnicode) {
  for (uint32_t code_point = 0; code_point < 0x120000; ++code_point) {
    std::string text;
    append_utf8(code_point, text);
    const auto character = first_character(text);
    const bool is_character = code_point < 0xD800 || (code_point > 0xDFFF && code_point < 0x110000);
    ASSERT_EQ(character.valid, is_character) << code_point;
    if (!is_character) continue;
    ASSERT_EQ(character.size, text.size());
    ASSERT_EQ(character.code_point, code_point);
  }
}

// The table of Unicode 15, section 3.9, "U+FFFD substitution of maximal subparts".
TEST(Utf8, ReplacesEachMaximalSubpartOnce) {
  EXPECT_EQ(replace_invalid_utf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82"
                                 "A"),
            "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA");
  EXPECT_EQ(replace_invalid_utf8("\xED\xA0\x80\xED\xBF\xBF\xED\xAF"
                                 "A"),
            "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA");
  EXPECT_EQ(replace_invalid_utf8("\xF4\x91\x92\x93\xFF"
                                 "A\x80\xBF"
                                 "B"),
            "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA\uFFFD\uFFFDB");
  EXPECT_EQ(replace_invalid_utf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF"
                                 "A"),
            "\uFFFD\uFFFD\uFFFD\uFFFDA");
  EXPECT_EQ(replace_invalid_utf8("plain \u00e9 \U0001F600"), "plain \u00e9 \U0001F600");
}

TEST(Utf8, FindsTheEndOfTheLastWholeCharacter) {
  const std::string text = "a\u00e9\u20ac\U0001F600";
  const std::vector<size_t> complete{0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10};
  for (size_t size = 0; size <= text.size(); ++size) {
    EXPECT_EQ(complete_utf8_size(text.substr(0, size)), complete[size]) << size;
  }
  EXPECT_EQ(complete_utf8_size("a\x80"), 2u);  // never becomes a character
  EXPECT_EQ(complete_utf8_size("a\xff"), 2u);
  EXPECT_EQ(complete_utf8_size("a\xe2\x28"), 3u);
}

TEST(Utf8, CountsCharactersAndKnowsWhiteSpace) {
  EXPECT_EQ(count_characters("a\u00e9\u20ac\U0001F600"), 4);
  EXPECT_EQ(count_characters(""), 0);
  // As Python's str.isspace says of every code point below U+3100.
  std::vector<uint32_t> spaces;
  for (uint32_t code_point = 0; code_point < 0x3100; ++code_point) {
    if (is_white_space(code_point)) spaces.push_back(code_point);
  }
  const std::vector<uint32_t> expected{0x9,    0xA,    0xB,    0xC,    0xD,    0x1C,   0x1D,   0x1E,
                                       0x1F,   0x20,   0x85,   0xA0,   0x1680, 0x2000, 0x2001, 0x2002,
                                       0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200A,
                                       0x2028, 0x2029, 0x202F, 0x205F, 0x3000};
  EXPECT_EQ(spaces, expected);
  EXPECT_EQ(trailing_white_space("a\u00e9 \u3000\n"), 5u);
  EXPECT_EQ(trailing_white_space("\u00e9"), 0u);
  EXPECT_EQ(trailing_white_space(" \t"), 2u);
  EXPECT_EQ(trailing_white_space(""), 0u);
}

}  // namespace
}  // namespace granule
