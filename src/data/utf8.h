#pragma once
// UTF-8 as Unicode defines it: what is valid, and where a broken sequence ends (the "maximal subpart" rule
// that Python's errors="replace" and Rust's lossy conversion follow too).

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace granule {

/// The character at the front of some text.
struct Utf8Character {
  size_t size;          ///< bytes; of a broken one, those that belong to it
  bool valid;           ///< false: no character begins here
  bool cut_off;         ///< not valid, but could become so with more bytes after the end
  uint32_t code_point;  ///< if valid
};

/// Of non-empty text.
Utf8Character first_character(std::string_view text);

/// The text of a file, behind the byte order mark that some programs begin one with.
std::string_view without_byte_order_mark(std::string_view text);

/// The text with U+FFFD in place of each broken sequence.
std::string replace_invalid_utf8(std::string_view text);

/// Bytes at the front that end with a whole character (or a sequence that no further byte can mend).
size_t complete_utf8_size(std::string_view text);

/// Code points of valid text.
int64_t count_characters(std::string_view text);

/// Whether Unicode (and Python's str.isspace) calls it white space.
bool is_white_space(uint32_t code_point);
/// Bytes at the end of valid text that are white space.
size_t trailing_white_space(std::string_view text);

}  // namespace granule
