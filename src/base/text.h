#pragma once
// Small helpers for words and numbers that people read.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace granule {

/// The candidate with the fewest edits to `word`; empty when none is near enough to be a likely slip.
std::string nearest_word(std::string_view word, const std::vector<std::string>& candidates);

/// ` (did you mean "x"?)`, or nothing.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

/// 37800000 -> "37.8M": three digits and k, M, B or T.
std::string short_count(double count);

/// 93784 s -> "1 d 2 h", 125 s -> "2 m 05 s", 4 s -> "4 s".
std::string short_duration(double seconds);

/// "[2,3]"
std::string shape_text(const std::vector<int64_t>& shape);

/// `parts` with `separator` between them.
std::string join(const std::vector<std::string>& parts, std::string_view separator);

}  // namespace granule
