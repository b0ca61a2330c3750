#include "data/byte_alphabet.h"

#include <array>

#include "data/utf8.h"

namespace granule {

namespace {

// Printable Latin-1 characters stand for themselves.
bool stands_for_itself(uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

// The other 68 bytes, in order, are U+0100, U+0101 ...
constexpr uint32_t kFirstOther = 0x100;
constexpr size_t kNumOthers = 68;

struct Alphabet {
  std::array<uint32_t, 256> character{};
  std::array<uint8_t, kNumOthers> other{};

  Alphabet() {
    uint32_t next = 0;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      if (stands_for_itself(byte)) {
        character[byte] = byte;
      } else {
        other[next] = static_cast<uint8_t>(byte);
        character[byte] = kFirstOther + next++;
      }
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet instance;
  return instance;
}

}  // namespace

uint32_t character_of_byte(uint8_t byte) {
  return alphabet().character[byte];
}

std::optional<std::string> bytes_of_word(std::string_view word) {
  std::string bytes;
  while (!word.empty()) {
    const auto [size, valid, cut_off, code_point] = first_character(word);
    if (!valid) return std::nullopt;
    if (code_point < 256 && stands_for_itself(code_point)) {
      bytes += static_cast<char>(code_point);
    } else if (code_point >= kFirstOther && code_point < kFirstOther + kNumOthers) {
      bytes += static_cast<char>(alphabet().other[code_point - kFirstOther]);
    } else {
      return std::nullopt;
    }
    word.remove_prefix(size);
  }
  return bytes;
}

std::string word_of_bytes(std::string_view bytes) {
  std::string word;
  for (const char byte : bytes) append_utf8(character_of_byte(static_cast<uint8_t>(byte)), word);
  return word;
}

}  // namespace granule
