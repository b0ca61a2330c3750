#pragma once
// JSONL: a JSON object on each line, read line by line, so that errors name the line and large files need
// little memory.

#include <cstdint>
#include <functional>
#include <string>

#include "base/strict_json.h"

namespace granule {

/// Calls `use` with the object of each line; blank lines are skipped. Throws InputError "FILE:LINE: ..." for
/// what strict_json refuses, for a line that is no object or longer than `max_line_bytes`.
void read_json_lines(const std::string& path, const std::function<void(const JsonField& record)>& use,
                     uint64_t max_line_bytes = uint64_t{64} << 20);

}  // namespace granule
