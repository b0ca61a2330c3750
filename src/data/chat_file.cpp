#include "data/chat_file.h"

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/log.h"
#include "data/json_lines.h"

namespace granule {

namespace {

constexpr int64_t kMaxShownSkips = 5;

}  // namespace

int64_t read_chat_file(const std::string& path, const ChatConfig& config,
                       const std::function<void(const ChatLine&)>& use) {
  int64_t num_skipped = 0;
  read_lines(path, [&](std::string_view text, const std::string& place) {
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
