#include "tests/support/byte_words.h"

namespace granule {

namespace {

uint32_t character_of_byte(uint8_t byte) {
  if ((byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD)) return byte;
  if (byte <= 0x20) return 0x100u + byte;
  return byte == 0xAD ? 0x143u : 0x121u + (byte - 0x7Fu);
}

}  // namespace

void append_utf8(uint32_t code_point, std::string& text) {
  const auto put = [&](uint32_t byte) { text += static_cast<char>(byte); };
  const auto tail = [&](int shift) { put(0x80 | (code_point >> shift & 0x3F)); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xC0 | code_point >> 6), tail(0);
  } else if (code_point < 0x10000) {
    put(0xE0 | code_point >> 12), tail(6), tail(0);
  } else {
    put(0xF0 | code_point >> 18), tail(12), tail(6), tail(0);
  }
}

std::string word_of_bytes(std::string_view bytes) {
  std::string word;
  for (const char byte : bytes) append_utf8(character_of_byte(static_cast<uint8_t>(byte)), word);
  return word;
}

}  // namespace granule
