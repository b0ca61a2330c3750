#include "data/byte_alphabet.h"

#include <gtest/gtest.h>

#include <set>

namespace granule {
namespace {

TEST(ByteAlphabet, GivesEachByteAPrintableCharacterOfItsOwn) {
  EXPECT_EQ(word_of_bytes("a b\n"), "a\u0120b\u010A");
  EXPECT_EQ(character_of_byte(0x00), 0x100u);
  EXPECT_EQ(character_of_byte(0x7F), 0x121u);
  EXPECT_EQ(character_of_byte(0xAD), 0x143u);
  EXPECT_EQ(character_of_byte(0xFF), 0xFFu);
  std::set<uint32_t> characters;
  for (int byte = 0; byte < 256; ++byte) characters.insert(character_of_byte(static_cast<uint8_t>(byte)));
  EXPECT_EQ(characters.size(), 256u);
}

TEST(ByteAlphabet, TurnsWordsBackIntoBytes) {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) bytes += static_cast<char>(byte);
  EXPECT_EQ(bytes_of_word(word_of_bytes(bytes)), bytes);
  for (const char* word : {"a b", "\n", "\u0144", "\uFF5C", "\xff"})
    EXPECT_EQ(bytes_of_word(word), std::nullopt);
}

}  // namespace
}  // namespace granule
