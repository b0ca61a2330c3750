#pragma once
// The alphabet in which byte-level vocabularies are written: a printable character for each of the 256 bytes.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace granule {

/// The character that stands for a byte.
uint32_t character_of_byte(uint8_t byte);

/// The bytes that a word in this alphabet stands for; nothing if a character is none of the 256.
std::optional<std::string> bytes_of_word(std::string_view word);

/// The inverse: bytes as they are written in a vocabulary.
std::string word_of_bytes(std::string_view bytes);

}  // namespace granule
