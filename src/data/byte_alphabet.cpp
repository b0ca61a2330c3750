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

const std::array<uint8_t, kNumOthers>& other_bytes() {
  static const auto bytes = [] {
    std::array<uint8_t, kNumOthers> others{};
    size_t next = 0;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      if (!stands_for_itself(byte)) others[next++] = static_cast<uint8_t>(byte);
    }
    return others;
  }();
  return bytes;
}

}  // namespace

std::optional<std::string> bytes_of_word(std::string_view word) {
  std::string bytes;
  while (!word.empty()) {
    const auto [size, valid, cut_off, code_point] = first_character(word);
    if (!valid) return std::nullopt;
    if (code_point < 256 && stands_for_itself(code_point)) {
      bytes += static_cast<char>(code_point);
    } else if (code_point >= kFirstOther && code_point < kFirstOther + kNumOthers) {
      bytes += static_cast<char>(other_bytes()[code_point - kFirstOther]);
    } else {
      return std::nullopt;
    }
    word.remove_prefix(size);
  }
  return bytes;
}

}  // namespace granule
