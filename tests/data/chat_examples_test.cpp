#include "data/chat_examples.h"

#include <gtest/gtest.h>

#include "tests/support/chat_files.h"
#include "tests/support/token_files.h"

namespace granule {
namespace {

const std::vector<std::string> kAdded = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};

class ChatExamplesTest : public testing::Test {
 protected:
  ChatExamplesTest() : tokenizer_(directory_.write_bytes("tokenizer.json", byte_tokenizer(kAdded))) {
    config_.chat_template = "chatml";
  }

  LoadedChats load(const std::string& lines, int64_t max_tokens = 1000, int64_t vocab_size = 300) {
    return load_chat_examples({directory_.write_bytes("chats.jsonl", lines)}, config_, tokenizer_, max_tokens,
                              vocab_size);
  }
  // The text of an example, with what is learned in brackets.
  std::string text_of(const ChatExamples& examples, int64_t example) {
    std::string text;
    for (int64_t i = 0; i < examples.length(example); ++i) {
      const bool before = i > 0 && examples.learned(example, i - 1);
      if (examples.learned(example, i) != before) text += before ? "]" : "[";
      text += tokenizer_.token_text(examples.ids(example)[static_cast<size_t>(i)]);
    }
    return text + (examples.learned(example, examples.length(example) - 1) ? "]" : "");
  }

  DataDirectory directory_;
  Tokenizer tokenizer_;
  ChatConfig config_;
};

const std::string kPrompt = "<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\n";  // 20 tokens
const std::string kLine = R"({"prompt": "u", "completion": "answer"})"
                          "\n";
const std::string kGoesOn =
    R"({"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"},
        {"role": "user", "content": "v"}]})";

TEST_F(ChatExamplesTest, EndsAnExampleWithTheLastTokenThatIsLearned) {
  auto goes_on = kGoesOn;
  std::erase(goes_on, '\n');
  const auto [examples, counts] = load(kLine + goes_on);
  ASSERT_EQ(examples.size(), 2);
  EXPECT_EQ(text_of(examples, 0), kPrompt + "[answer<|im_end|>]");
  EXPECT_EQ(text_of(examples, 1), kPrompt + "[a<|im_end|>]");
  EXPECT_EQ(examples.lengths(), (std::vector<int64_t>{27, 22}));
  EXPECT_EQ(counts.num_examples, 2);
  EXPECT_EQ(counts.num_tokens, 49);
  EXPECT_EQ(counts.num_learned, 9);
  EXPECT_EQ(counts.num_truncated + counts.num_too_long + counts.num_skipped, 0);
}

TEST_F(ChatExamplesTest, CutsLongExamplesAndLeavesOutThoseWithoutABitOfAnswer) {
  const auto [examples, counts] =
      load(kLine + R"({"prompt": "a longer question", "completion": "answer"})", 23);
  ASSERT_EQ(examples.size(), 1);
  EXPECT_EQ(text_of(examples, 0), kPrompt + "[ans]");
  EXPECT_EQ(counts.num_truncated, 1);
  EXPECT_EQ(counts.num_too_long, 1);
  EXPECT_EQ(load(kLine, 27).counts.num_truncated, 0);
  EXPECT_EQ(load(kLine, 26).counts.num_truncated, 1);
  EXPECT_NE(input_error_of([&] { load(kLine, 20); }).find("1 left out because no answer begins before that"),
            std::string::npos);
}

TEST_F(ChatExamplesTest, AnAnswerIsNeeded) {
  const std::string silent = R"({"messages": [{"role": "user", "content": "u"}]})"
                             "\n";
  EXPECT_NE(input_error_of([&] { load(kLine + silent); }).find("chats.jsonl:2: has no assistant turn"),
            std::string::npos);
  config_.on_bad_line = "skip";
  EXPECT_EQ(load(kLine + silent).counts.num_skipped, 1);
  EXPECT_NE(input_error_of([&] { load(silent); }).find("no conversation to learn from"), std::string::npos);
}

TEST_F(ChatExamplesTest, NamesTheLineThatTheTemplateHasNoPlaceFor) {
  config_.chat_template = "custom";
  config_.pattern = {.user = "U{content}", .assistant = "A{content}{eos}"};
  EXPECT_NE(input_error_of([&] {
              load(R"({"prompt": "u", "completion": "a", "system": "s"})");
            }).find("chats.jsonl:1: the chat template has no place for a system turn"),
            std::string::npos);
}

TEST_F(ChatExamplesTest, RefusesIdsThatTheModelLacksWhateverBecomesOfBrokenLines) {
  EXPECT_EQ(load(kLine, 1000, 260).examples.size(), 1);
  EXPECT_THROW(load(kLine, 1000, 259), ConfigError);
  config_.on_bad_line = "skip";
  EXPECT_THROW(load(kLine, 1000, 259), ConfigError);
}

}  // namespace
}  // namespace granule
