#include "data/chat_file.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/file.h"
#include "base/log.h"
#include "base/strict_json.h"

namespace granule {

namespace {

constexpr size_t kReadBytes = size_t{1} << 20;
constexpr size_t kMaxLineBytes = size_t{1} << 26;
constexpr int64_t kMaxShownSkips = 5;

// `use(text, number from 1)` for every line; the file is never in memory as a whole.
void for_lines(const std::string& path, const std::function<void(std::string_view, int64_t)>& use) {
  const ReadFile file(path);
  std::string text;
  int64_t number = 0;
  for (uint64_t offset = 0; offset < file.size();) {
    const size_t old_size = text.size();
    const auto count = static_cast<size_t>(std::min<uint64_t>(kReadBytes, file.size() - offset));
    text.resize(old_size + count);
    file.read_at(offset, text.data() + old_size, count);
    offset += count;
    size_t begin = 0;
    for (auto end = text.find('\n', old_size); end != std::string::npos; end = text.find('\n', begin)) {
      use(std::string_view(text).substr(begin, end - begin), ++number);
      begin = end + 1;
    }
    text.erase(0, begin);
    if (text.size() > kMaxLineBytes) {
      throw InputError(path, "line ", number + 1, " is longer than ", kMaxLineBytes, " bytes");
    }
  }
  if (!text.empty()) use(text, number + 1);
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r") == std::string_view::npos;
}

}  // namespace

int64_t read_chat_file(const std::string& path, const ChatConfig& config,
                       const std::function<void(const ChatLine&)>& use) {
  int64_t num_skipped = 0;
  for_lines(path, [&](std::string_view text, int64_t number) {
    if (is_blank(text)) return;
    const auto place = join_text(path, ":", number);
    try {
      const auto document = parse_strict_json(text, place);
      use({read_conversation(JsonField(place, document), config.keys), place});
    } catch (const InputError& error) {
      if (config.on_bad_line == "stop") throw;
      if (++num_skipped <= kMaxShownSkips) log_info(join_text("skipped ", error.what()));
      if (num_skipped == kMaxShownSkips)
        log_info(join_text("further broken lines of ", path, " are only counted"));
    }
  });
  return num_skipped;
}

}  // namespace granule
