#pragma once
// JSONL: a JSON value on each line, read line by line, so that errors name the line and large files need
// little memory.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/strict_json.h"

namespace granule {

/// By its name.
bool is_json_lines_file(const std::string& path);

/// Calls `use` with the text of each line that is not blank and its place, "FILE:LINE". A byte order mark
/// before the first is dropped. Throws InputError for a line longer than `max_line_bytes`.
void read_lines(const std::string& path,
                const std::function<void(std::string_view line, const std::string& place)>& use,
                uint64_t max_line_bytes = uint64_t{64} << 20);

/// Calls `use` with the object of each line; blank lines are skipped. Throws InputError "FILE:LINE: ..." for
/// what strict_json refuses, for a line that is no object or longer than `max_line_bytes`.
void read_json_lines(const std::string& path, const std::function<void(const JsonField& record)>& use,
                     uint64_t max_line_bytes = uint64_t{64} << 20);

}  // namespace granule
