#include "data/utf8.h"

#include <algorithm>

#include "base/check.h"

namespace granule {

namespace {

// What a lead byte promises: bytes in all, and the range of the second (Unicode 15, table 3-7).
struct Lead {
  size_t size;
  uint8_t second_min;
  uint8_t second_max;
};

Lead lead_of(uint8_t byte) {
  if (byte >= 0xC2 && byte <= 0xDF) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte >= 0xE1 && byte <= 0xEF) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte >= 0xF1 && byte <= 0xF3) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

}  // namespace

Utf8Character first_character(std::string_view text) {
  CHECK(!text.empty());
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  if (byte(0) < 0x80) return {1, true, false, byte(0)};
  const auto lead = lead_of(byte(0));
  if (lead.size == 0) return {1, false, false, 0};
  uint32_t code_point = byte(0) & (0x7Fu >> lead.size);
  for (size_t i = 1; i < lead.size; ++i) {
    if (i == text.size()) return {i, false, true, 0};
    const uint8_t least = i == 1 ? lead.second_min : 0x80;
    const uint8_t most = i == 1 ? lead.second_max : 0xBF;
    if (byte(i) < least || byte(i) > most) return {i, false, false, 0};
    code_point = code_point << 6 | (byte(i) & 0x3Fu);
  }
  return {lead.size, true, false, code_point};
}

std::string_view without_byte_order_mark(std::string_view text) {
  constexpr std::string_view kMark = "\uFEFF";
  return text.starts_with(kMark) ? text.substr(kMark.size()) : text;
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto character = first_character(text);
    out += character.valid ? text.substr(0, character.size) : "\uFFFD";
    text.remove_prefix(character.size);
  }
  return out;
}

size_t complete_utf8_size(std::string_view text) {
  // Only a character that begins in the last three bytes can be cut off.
  for (size_t back = std::min<size_t>(3, text.size()); back > 0; --back) {
    const size_t begin = text.size() - back;
    if (first_character(text.substr(begin)).cut_off) return begin;
  }
  return text.size();
}

int64_t count_characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char byte) { return (byte & 0xC0) != 0x80; });
}

bool is_white_space(uint32_t code_point) {
  if (code_point < 0x80)
    return code_point == ' ' || (code_point >= 9 && code_point <= 13) ||
           (code_point >= 0x1C && code_point <= 0x1F);
  return code_point == 0x85 || code_point == 0xA0 || code_point == 0x1680 ||
         (code_point >= 0x2000 && code_point <= 0x200A) || code_point == 0x2028 || code_point == 0x2029 ||
         code_point == 0x202F || code_point == 0x205F || code_point == 0x3000;
}

size_t trailing_white_space(std::string_view text) {
  size_t kept = text.size();
  while (kept > 0) {
    size_t begin = kept - 1;
    while (begin > 0 && (text[begin] & 0xC0) == 0x80) --begin;
    if (!is_white_space(first_character(text.substr(begin)).code_point)) break;
    kept = begin;
  }
  return text.size() - kept;
}

}  // namespace granule
