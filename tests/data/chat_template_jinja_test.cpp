#include <gtest/gtest.h>

#include "data/chat_template.h"
#include "tests/support/chat_files.h"
#include "tests/support/token_files.h"

namespace granule {
namespace {

// transformers renders it in tests/end_to_end/test_fine_tuning.py.
TEST(ChatTemplateJinja, SaysWhatThePatternSays) {
  DataDirectory directory;
  Tokenizer tokenizer(
      directory.write_bytes("tokenizer.json", byte_tokenizer({"<bos>", "<|endoftext|>"}, "<bos>")));
  EXPECT_EQ(ChatTemplate({}, tokenizer).jinja(),
            R"({{ "<bos>" }}{% for message in messages %})"
            R"({% if message['role'] == 'system' %}{{ message['content'] + "\n\n" }})"
            R"({% elif message['role'] == 'user' %}{{ "User: " + message['content'] + "\n\n" }})"
            R"({% elif message['role'] == 'assistant' %})"
            R"({{ "Assistant: " + message['content'] + "<|endoftext|>" }})"
            R"({% else %}{{ raise_exception('no role ' + message['role']) }}{% endif %}{% endfor %})"
            R"({% if add_generation_prompt %}{{ "Assistant:" }}{% endif %})");

  ChatConfig config;
  config.chat_template = "custom";
  config.pattern = {.user = "say \"{content}\"", .assistant = "{content}{eos}"};
  const auto jinja = ChatTemplate(config, tokenizer).jinja();
  EXPECT_EQ(jinja.find("{{ '' }}"), 0u) << jinja;
  EXPECT_NE(jinja.find(R"({{ "say \"" + message['content'] + "\"" }})"), std::string::npos) << jinja;
  EXPECT_NE(jinja.find("raise_exception('the template has no place for a system turn')"), std::string::npos);
}

}  // namespace
}  // namespace granule
