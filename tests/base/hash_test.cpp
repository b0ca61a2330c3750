#include "base/hash.h"

#include <gtest/gtest.h>

#include <string>

namespace granule {
namespace {

// Values of the reference implementation's sanity test for empty input and of `xxhsum -H3`.
TEST(Hash, IsXxh3) {
  EXPECT_EQ(hash_text(hash_bytes("")), "2d06800538d394c2");
  EXPECT_EQ(hash_text(0x0123456789abcdefu), "0123456789abcdef");
}

TEST(Hash, InPiecesIsTheHashOfTheWhole) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += static_cast<char>(i * 7 % 251);
  for (const size_t piece : {size_t{1}, size_t{3}, size_t{64}, size_t{1000}, text.size()}) {
    Hasher hasher;
    for (size_t begin = 0; begin < text.size(); begin += piece) {
      hasher.update(text.data() + begin, std::min(piece, text.size() - begin));
    }
    EXPECT_EQ(hasher.digest(), hash_bytes(text));
  }
}

TEST(Hash, ChangesWithEveryBit) {
  std::string text(300, 'x');
  const auto original = hash_bytes(text);
  for (size_t bit = 0; bit < text.size() * 8; ++bit) {
    text[bit / 8] = static_cast<char>(text[bit / 8] ^ 1 << bit % 8);
    EXPECT_NE(hash_bytes(text), original);
    text[bit / 8] = static_cast<char>(text[bit / 8] ^ 1 << bit % 8);
  }
}

}  // namespace
}  // namespace granule
