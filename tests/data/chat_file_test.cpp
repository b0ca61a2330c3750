#include "data/chat_file.h"

#include <gtest/gtest.h>

#include "tests/support/token_files.h"

namespace granule {
namespace {

class ChatFileTest : public testing::Test {
 protected:
  // "1:a 2:b": line and what the user says.
  std::string read(const std::string& bytes, const ChatConfig& config = {}) {
    const auto path = directory_.write_bytes("chats.jsonl", bytes);
    std::string seen;
    skipped_ = read_chat_file(path, config, [&](const ChatLine& line) {
      seen += (seen.empty() ? "" : " ") + line.place.substr(path.size() + 1) + ":" + line.turns[0].content;
      if (line.turns[0].content == "refuse") throw InputError(line.place, "refused");
    });
    return seen;
  }

  DataDirectory directory_;
  int64_t skipped_ = 0;
};

std::string line(const std::string& prompt) {
  return R"({"prompt": ")" + prompt + R"(", "completion": "x"})";
}

ChatConfig skipping() {
  ChatConfig config;
  config.on_bad_line = "skip";
  return config;
}

TEST_F(ChatFileTest, ReadsLineByLineWhateverEndsThem) {
  EXPECT_EQ(read(line("a") + "\n" + line("b") + "\r\n\n  \n" + line("c")), "1:a 2:b 5:c");
  EXPECT_EQ(read(line("a") + "\n"), "1:a");
  EXPECT_EQ(read(""), "");
  EXPECT_EQ(skipped_, 0);
}

TEST_F(ChatFileTest, ReadsLinesThatCrossTheBlocksOfReading) {
  std::string bytes, expected;
  for (int i = 1; i <= 7; ++i) {
    const std::string prompt(300'000, static_cast<char>('a' + i));
    bytes += line(prompt) + "\n";
    expected += (i > 1 ? " " : "") + std::to_string(i) + ":" + prompt;
  }
  EXPECT_TRUE(read(bytes) == expected);
}

TEST_F(ChatFileTest, StopsAtABrokenLineWithItsNumber) {
  const auto error_of = [&](const std::string& broken) {
    return input_error_of([&] { read(line("a") + "\n" + broken + "\n" + line("b")); });
  };
  EXPECT_NE(error_of("{").find("chats.jsonl:2: is no valid JSON"), std::string::npos) << error_of("{");
  EXPECT_NE(error_of("{\"prompt\": \"\xff\"}").find("chats.jsonl:2: is no valid JSON"), std::string::npos);
  EXPECT_NE(error_of(R"({"prompt": "a", "prompt": "b"})").find("twice"), std::string::npos);
  EXPECT_NE(error_of(R"({"prompt": "a"})").find("chats.jsonl:2: field (top) has no \"completion\""),
            std::string::npos)
      << error_of(R"({"prompt": "a"})");
  EXPECT_NE(error_of(line("refuse")).find("chats.jsonl:2: refused"), std::string::npos);
}

TEST_F(ChatFileTest, SkipsAndCountsBrokenLinesIfTold) {
  EXPECT_EQ(read("{\n" + line("a") + "\n[]\n" + line("refuse") + "\n" + line("b"), skipping()),
            "2:a 4:refuse 5:b");
  EXPECT_EQ(skipped_, 3);
}

TEST_F(ChatFileTest, NamesTheFileThatIsMissing) {
  EXPECT_NE(input_error_of([&] {
              read_chat_file(directory_.path("none.jsonl"), skipping(), {});
            }).find("none.jsonl"),
            std::string::npos);
}

}  // namespace
}  // namespace granule
