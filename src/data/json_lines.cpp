#include "data/json_lines.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/file.h"

namespace granule {

namespace {

constexpr uint64_t kBlockBytes = uint64_t{1} << 20;

void use_line(const std::string& place, std::string_view line,
              const std::function<void(const JsonField&)>& use) {
  if (line.find_first_not_of(" \t\r") == std::string_view::npos) return;
  const auto value = parse_strict_json(line, place);
  const JsonField record(place, value, "(line)");
  if (!value.is_object()) record.refuse("is no JSON object");
  use(JsonField(place, value));
}

}  // namespace

void read_json_lines(const std::string& path, const std::function<void(const JsonField&)>& use,
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
  for (uint64_t offset = 0; offset < file.size(); offset += block.size()) {
    block.resize(std::min(kBlockBytes, file.size() - offset));
    file.read_at(offset, block.data(), block.size());
    std::string_view rest = block;
    for (auto end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
      append(rest.substr(0, end));
      use_line(place(), pending, use);
      pending.clear();
      rest.remove_prefix(end + 1);
      ++number;
    }
    append(rest);
  }
  use_line(place(), pending, use);
}

}  // namespace granule
