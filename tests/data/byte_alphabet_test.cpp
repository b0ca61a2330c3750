#include "data/byte_alphabet.h"

#include <gtest/gtest.h>

#include "tests/support/byte_words.h"

namespace granule {
namespace {

TEST(ByteAlphabet, ReadsTheCharacterThatStandsForAByte) {
  EXPECT_EQ(bytes_of_word("a\u0120b\u010A"), "a b\n");
  EXPECT_EQ(bytes_of_word("\u0100\u0121\u0143\u00FF"), std::string("\0\x7F\xAD\xFF", 4));
  EXPECT_EQ(bytes_of_word(""), "");
  for (const char* word : {"a b", "\n", "\u0144", "\uFF5C", "\xff"})
    EXPECT_EQ(bytes_of_word(word), std::nullopt);
}

TEST(ByteAlphabet, KnowsAllBytes) {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) bytes += static_cast<char>(byte);
  EXPECT_EQ(bytes_of_word(word_of_bytes(bytes)), bytes);
}

}  // namespace
}  // namespace granule
