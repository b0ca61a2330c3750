#pragma once
// Vocabularies written by hand: characters as UTF-8, and bytes in the alphabet of byte-level words.

#include <cstdint>
#include <string>
#include <string_view>

namespace granule {

/// Also what is no character, as the same rule would write it.
void append_utf8(uint32_t code_point, std::string& text);

/// The inverse of bytes_of_word: printable Latin-1 as it is, the other bytes as U+0100, U+0101 ... in order.
std::string word_of_bytes(std::string_view bytes);

}  // namespace granule
