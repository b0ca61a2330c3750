#include "data/chat_config.h"

#include <gtest/gtest.h>

namespace granule {
namespace {

ChatConfig read(const std::string& text) {
  ChatConfig config;
  ConfigDocument::from_text(text, "c.yaml").read_into<ChatConfig>(config, [](const auto& read) {
    read.check();
  });
  return config;
}

std::string error_of(const std::string& text) {
  try {
    read(text);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "none";
}

TEST(ChatConfig, ReadsAPatternOnlyForACustomTemplate) {
  EXPECT_EQ(read("template: chatml").chat_template, "chatml");
  EXPECT_EQ(
      read("{template: custom, pattern: {user: 'U{content}', assistant: 'A{content}{eos}'}}").pattern.user,
      "U{content}");
  EXPECT_NE(error_of("{template: chatml, pattern: {user: 'U{content}'}}")
                .find("only for data.chat.template: custom"),
            std::string::npos);
  EXPECT_NE(error_of("{template: custom, pattern: {user: 'U{content}'}}").find("data.chat.pattern.assistant"),
            std::string::npos);
}

}  // namespace
}  // namespace granule
