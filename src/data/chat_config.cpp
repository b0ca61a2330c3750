#include "data/chat_config.h"

#include "base/check.h"
#include "data/utf8.h"

namespace granule {

void ChatConfig::check() const {
  keys.check();
  const bool custom = chat_template == "custom";
  const std::pair<const char*, const std::string*> texts[] = {{"begin", &pattern.begin},
                                                              {"system", &pattern.system},
                                                              {"user", &pattern.user},
                                                              {"user_with_input", &pattern.user_with_input},
                                                              {"assistant", &pattern.assistant}};
  for (const auto& [name, text] : texts) {
    if (replace_invalid_utf8(*text) != *text) {
      throw ConfigError(join_text("data.chat.pattern.", name), replace_invalid_utf8(*text),
                        "must be valid UTF-8");
    }
    if (!custom && !text->empty()) {
      throw ConfigError(join_text("data.chat.pattern.", name), *text,
                        "is only for data.chat.template: custom, which is ", chat_template);
    }
  }
  if (custom && pattern.user.empty()) {
    throw ConfigError("data.chat.pattern.user", "\"\"", "must be given with data.chat.template: custom");
  }
  if (custom && pattern.assistant.empty()) {
    throw ConfigError("data.chat.pattern.assistant", "\"\"", "must be given with data.chat.template: custom");
  }
}

}  // namespace granule
