#include "data/json_lines.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/file.h"
#include "data/utf8.h"

namespace granule {

namespace {

constexpr uint64_t kBlockBytes = uint64_t{1} << 20;

}  // namespace

bool is_json_lines_file(const std::string& path) {
  return path.ends_with(".jsonl");
}

void read_lines(const std::string& path, const std::function<void(std::string_view, const std::string&)>& use,
                uint64_t max_line_bytes) {
  const ReadFile file(path);
  std::string pending;  // the line under way
  std::string block;
  int64_t number = 1;
  const auto place = [&] { return join_text(path, ":", number); };
  const auto append = [&](std::string_view part) {
    pending += part;
    if (pending.size() > max_line_bytes) {
      throw InputError(place(), "is longer than ", max_line_bytes, " bytes");
    }
  };
  const auto use_pending = [&] {
    if (pending.find_first_not_of(" \t\r") != std::string::npos) use(pending, place());
  };
  for (uint64_t offset = 0; offset < file.size(); offset += block.size()) {
    block.resize(std::min(kBlockBytes, file.size() - offset));
    file.read_at(offset, block.data(), block.size());
    std::string_view rest = offset == 0 ? without_byte_order_mark(block) : block;
    for (auto end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
      append(rest.substr(0, end));
      use_pending();
      pending.clear();
      rest.remove_prefix(end + 1);
      ++number;
    }
    append(rest);
  }
  use_pending();
}

void read_json_lines(const std::string& path, const std::function<void(const JsonField&)>& use,
                     uint64_t max_line_bytes) {
  const auto use_line = [&](std::string_view line, const std::string& place) {
    const auto value = parse_strict_json(line, place);
    if (!value.is_object()) JsonField(place, value, "(line)").refuse("is no JSON object");
    use(JsonField(place, value));
  };
  read_lines(path, use_line, max_line_bytes);
}

}  // namespace granule
