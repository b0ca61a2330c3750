#pragma once
// The alphabet in which byte-level vocabularies are written: a printable character for each of the 256 bytes.

#include <optional>
#include <string>
#include <string_view>

namespace granule {

/// The bytes that a word in this alphabet stands for; nothing if a character is none of the 256.
std::optional<std::string> bytes_of_word(std::string_view word);

}  // namespace granule
