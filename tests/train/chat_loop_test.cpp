#include "train/chat_loop.h"

#include <gtest/gtest.h>

#include <csignal>
#include <sstream>
#include <utility>

#include "comm/loopback_communicator.h"
#include "tests/support/evaluation_files.h"
#include "tests/support/small_model.h"

namespace granule {
namespace {

class ChatLoopTest : public testing::Test {
 protected:
  ChatLoopTest() : model_(byte_model_config(), alone(), at::kFloat) { model_.initialize(6); }

  std::string chat(const std::string& lines, bool interactive = false) {
    std::istringstream in(lines);
    std::ostringstream out;
    ChatTerminal terminal{in, out, interactive};
    Interrupt interrupt;
    dialogue_.forget();
    chat_loop(dialogue_, alone(), terminal, interrupt);
    return out.str();
  }
  std::string answer(const std::string& said) {
    dialogue_.forget();
    return dialogue_.answer(said, [](std::string_view) { return true; });
  }

  DataDirectory directory_;
  Tokenizer tokenizer_ = evaluation_tokenizer(directory_);
  ChatTemplate chat_{ChatConfig{}, tokenizer_};
  Transformer model_;
  Dialogue dialogue_{model_,
                     alone(),
                     tokenizer_,
                     chat_,
                     {.sampling = {.temperature = 0, .max_tokens = 6}, .max_length = 200}};
};

TEST_F(ChatLoopTest, AnswersEachLineUntilTheEndOfInput) {
  const auto one = answer("one");
  EXPECT_EQ(chat("one\n"), one + "\n");
  EXPECT_EQ(chat("one"), one + "\n");
  EXPECT_EQ(chat("\n  \none\r\n/reset\none\n"), one + "\n" + one + "\n");
  EXPECT_EQ(chat(""), "");
  EXPECT_EQ(dialogue_.turns().size(), 0u);
}

TEST_F(ChatLoopTest, ObeysCommands) {
  EXPECT_EQ(chat("/exit\none\n"), "");
  EXPECT_EQ(chat("/exit \t\none\n"), "");
  EXPECT_NE(chat("/help\n").find("/reset"), std::string::npos);
  EXPECT_EQ(chat("/rest\n"), "no command /rest (did you mean \"/reset\"?)\n");
  EXPECT_EQ(chat(" /exit\n"), answer(" /exit") + "\n");
}

TEST_F(ChatLoopTest, TakesBrokenUtf8AndLongLines) {
  EXPECT_EQ(chat("a\xff\n"), answer("a\uFFFD") + "\n");
  EXPECT_NE(chat(std::string(500, 'x') + "\n").find("(not sent: that has "), std::string::npos);
}

TEST_F(ChatLoopTest, APersonSeesPromptsAndNoControlCharacters) {
  const auto shown = chat("one\n", true);
  EXPECT_TRUE(shown.starts_with("/help lists the commands.\n> ")) << shown;
  EXPECT_TRUE(shown.ends_with("\n> \n")) << shown;
  for (const char c : shown) EXPECT_TRUE(c == '\n' || c == '\t' || (c < 0 || c >= 0x20)) << int{c};
}

// Raises SIGINT when the first text is written.
class InterruptingText : public std::stringbuf {
 protected:
  std::streamsize xsputn(const char* text, std::streamsize count) override {
    if (!std::exchange(done_, true)) std::raise(SIGINT);
    return std::stringbuf::xsputn(text, count);
  }

 private:
  bool done_ = false;
};

TEST_F(ChatLoopTest, AnInterruptEndsTheAnswerUnderWay) {
  const auto one = answer("one");
  dialogue_.forget();
  Interrupt interrupt;
  std::istringstream in("one\n/reset\none\n");
  InterruptingText text;
  std::ostream out(&text);
  ChatTerminal terminal{in, out, false};
  chat_loop(dialogue_, alone(), terminal, interrupt);
  const auto shown = text.str();
  EXPECT_TRUE(shown.ends_with("\n" + one + "\n")) << shown;
  EXPECT_LT(shown.size(), 2 * one.size() + 2);
}

TEST_F(ChatLoopTest, AnInterruptWhileALineIsWaitedForEndsTheLoop) {
  dialogue_.forget();
  Interrupt interrupt;
  std::raise(SIGINT);
  std::istringstream in("one\n");
  std::ostringstream out;
  ChatTerminal terminal{in, out, false};
  chat_loop(dialogue_, alone(), terminal, interrupt);
  EXPECT_EQ(out.str(), "");
}

TEST_F(ChatLoopTest, AllRanksHearRankZeroAlone) {
  const auto one = answer("one");
  run_loopback(2, [&](Communicator& ranks) {
    Transformer model(byte_model_config(), ranks, at::kFloat);
    model.initialize(6);
    Dialogue dialogue(model, ranks, tokenizer_, chat_,
                      {.sampling = {.temperature = 0, .max_tokens = 6}, .max_length = 200});
    std::istringstream in(ranks.rank() == 0 ? "one\n/reset\none\n/exit\n" : "never read\n");
    std::ostringstream out;
    ChatTerminal terminal{in, out, false};
    Interrupt interrupt;
    chat_loop(dialogue, ranks, terminal, interrupt);
    EXPECT_EQ(out.str(), ranks.rank() == 0 ? one + "\n" + one + "\n" : "");
  });
}

}  // namespace
}  // namespace granule
