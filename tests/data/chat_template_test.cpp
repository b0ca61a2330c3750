#include "data/chat_template.h"

#include <gtest/gtest.h>

#include "tests/support/chat_files.h"
#include "tests/support/token_files.h"

namespace granule {
namespace {

const std::vector<std::string> kAdded = {"<bos>", "<|endoftext|>", "<|im_start|>", "<|im_end|>"};
const std::string kEos = "<|endoftext|>";

// Text before, in and behind answers, alternating: what is learned is every second one.
using Pieces = std::vector<std::string>;

TemplatedChat expected_chat(const Pieces& pieces) {
  TemplatedChat chat;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const auto ids = byte_ids(pieces[i], kAdded);
    chat.ids.insert(chat.ids.end(), ids.begin(), ids.end());
    chat.learned.resize(chat.ids.size(), i % 2 == 1);
  }
  return chat;
}

class ChatTemplateTest : public testing::Test {
 protected:
  Tokenizer open(const std::vector<std::string>& added = kAdded, const std::string& bos = "<bos>") {
    return Tokenizer(directory_.write_bytes("tokenizer.json", byte_tokenizer(added, bos)));
  }

  void expect(const ChatConfig& config, const Conversation& turns, const Pieces& pieces) {
    auto tokenizer = open();
    const auto chat = ChatTemplate(config, tokenizer).render(turns);
    const auto expected = expected_chat(pieces);
    EXPECT_EQ(chat.ids, expected.ids);
    EXPECT_EQ(chat.learned, expected.learned);
  }

  DataDirectory directory_;
};

ChatConfig named(const std::string& name) {
  ChatConfig config;
  config.chat_template = name;
  return config;
}

ChatConfig custom(const ChatPattern& pattern) {
  auto config = named("custom");
  config.pattern = pattern;
  return config;
}

const Conversation kTwoRounds = {{Role::kSystem, "Be brief."},
                                 {Role::kUser, "2+2?"},
                                 {Role::kAssistant, "4"},
                                 {Role::kUser, "hello"},
                                 {Role::kAssistant, "hi you"}};

TEST_F(ChatTemplateTest, WritesDeepSeeksRoundsWithTheSpaceInTheAnswer) {
  expect(named("deepseek"), kTwoRounds,
         {"<bos>Be brief.\n\nUser: 2+2?\n\nAssistant:", " 4" + kEos,
          "User: hello\n\nAssistant:", " hi you" + kEos});
}

TEST_F(ChatTemplateTest, WritesChatMlAndLearnsItsEndButNotTheLineBreakBehind) {
  expect(
      named("chatml"), kTwoRounds,
      {"<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n",
       "4<|im_end|>", "\n<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n", "hi you<|im_end|>",
       "\n"});
}

TEST_F(ChatTemplateTest, WritesAlpacaWithAndWithoutInput) {
  expect(named("alpaca"), {{Role::kUser, "Add."}, {Role::kAssistant, "4"}},
         {"<bos>Below is an instruction that describes a task. Write a response that appropriately completes "
          "the "
          "request.\n\n### Instruction:\nAdd.\n\n### Response:\n",
          "4" + kEos});
  expect(named("alpaca"), {{Role::kUser, "Add.", "2, 2"}, {Role::kAssistant, "4"}},
         {"<bos>Below is an instruction that describes a task, paired with an input that provides further "
          "context. "
          "Write a response that appropriately completes the request.\n\n### Instruction:\nAdd.\n\n### "
          "Input:\n2, 2"
          "\n\n### Response:\n",
          "4" + kEos});
}

TEST_F(ChatTemplateTest, JoinsAnInputByABlankLineWhereThePatternHasNoPlaceForIt) {
  expect(named("deepseek"), {{Role::kUser, "Add.", "2, 2"}, {Role::kAssistant, "4"}},
         {"<bos>User: Add.\n\n2, 2\n\nAssistant:", " 4" + kEos});
}

TEST_F(ChatTemplateTest, FollowsAPatternOfTheUsers) {
  expect(custom({.begin = "{<|im_start|>}",
                 .system = "",
                 .user = "{{Q}} {content}\n",
                 .user_with_input = "{content} of {input}\n",
                 .assistant = "A:{content} ({<|im_end|>})\n"}),
         {{Role::kUser, "why"}, {Role::kAssistant, "so"}, {Role::kUser, "sum", "1"}, {Role::kAssistant, "1"}},
         {"<|im_start|>{Q} why\nA:", "so (<|im_end|>", ")\nsum of 1\nA:", "1 (<|im_end|>", ")\n"});
}

TEST_F(ChatTemplateTest, ReadsNamesOfTokensInATurnAsText) {
  auto tokenizer = open();
  const Conversation turns = {{Role::kUser, "<|im_end|>{eos}"}, {Role::kAssistant, kEos}};
  const auto chat = ChatTemplate(named("deepseek"), tokenizer).render(turns);
  const auto expected = byte_ids("User: <|im_end|>{eos}\n\nAssistant: " + kEos, {});
  EXPECT_EQ(std::vector<int64_t>(chat.ids.begin() + 1, chat.ids.end() - 1), expected);
}

TEST_F(ChatTemplateTest, ReadsNamesOfItsTokensAsTextWhereTheTokenizerDoesNotCallThemSpecial) {
  Tokenizer tokenizer(
      directory_.write_bytes("tokenizer.json", byte_tokenizer(kAdded, "", /*special=*/false)));
  const Conversation turns = {{Role::kUser, "<|im_end|>"}, {Role::kAssistant, "<bos>" + kEos}};
  const auto chat = ChatTemplate(named("chatml"), tokenizer).render(turns);
  auto expected = byte_ids("<|im_start|>user\n", kAdded);
  const auto append = [&](const std::string& text, const std::vector<std::string>& added) {
    const auto ids = byte_ids(text, added);
    expected.insert(expected.end(), ids.begin(), ids.end());
  };
  append("<|im_end|>", {});
  append("<|im_end|>\n<|im_start|>assistant\n<bos>", kAdded);  // <bos> is no token of this template
  append(kEos, {});
  append("<|im_end|>\n", kAdded);
  EXPECT_EQ(chat.ids, expected);
}

TEST_F(ChatTemplateTest, PromptsWithTheIdsThatComeBeforeTheAnswerInTraining) {
  auto tokenizer = open();
  for (const auto* name : {"deepseek", "chatml", "alpaca"}) {
    const ChatTemplate chat_template(named(name), tokenizer);
    const auto whole = chat_template.render(kTwoRounds);
    auto history = kTwoRounds;
    history.pop_back();
    const auto prompt = chat_template.prompt(history);
    ASSERT_LT(prompt.size(), whole.ids.size());
    EXPECT_TRUE(std::equal(prompt.begin(), prompt.end(), whole.ids.begin())) << name;
    EXPECT_FALSE(whole.learned[prompt.size() - 1]) << name;
    EXPECT_TRUE(whole.learned[prompt.size()]) << name;
  }
}

TEST_F(ChatTemplateTest, StopsAtTheEndOfAnAnswerAndAtTheEndOfText) {
  auto tokenizer = open();
  EXPECT_EQ(ChatTemplate(named("deepseek"), tokenizer).stop_ids(), byte_ids(kEos, kAdded));
  EXPECT_EQ(ChatTemplate(named("deepseek"), tokenizer).answer_lead(), " ");
  EXPECT_EQ(ChatTemplate(named("chatml"), tokenizer).answer_lead(), "");
  EXPECT_EQ(ChatTemplate(named("chatml"), tokenizer).stop_ids(), byte_ids("<|im_end|>" + kEos, kAdded));
}

TEST_F(ChatTemplateTest, HasNoBeginningWhereTheTokenizerHasNone) {
  auto tokenizer = open(kAdded, "");
  EXPECT_EQ(ChatTemplate(named("deepseek"), tokenizer).render({{Role::kUser, "x"}}).ids,
            byte_ids("User: x\n\n", kAdded));
}

TEST_F(ChatTemplateTest, NamesTheTokensThatThereAreWhenOneIsMissing) {
  auto tokenizer = open({kEos, "<|im_stop|>"}, "");
  const auto error = input_error_of([&] { ChatTemplate(named("chatml"), tokenizer); });
  EXPECT_NE(error.find("has no added token \"<|im_start|>\""), std::string::npos) << error;
  EXPECT_NE(error.find("it has <|endoftext|> <|im_stop|>"), std::string::npos) << error;

  auto without = open({}, "");
  EXPECT_NE(input_error_of([&] { ChatTemplate(named("deepseek"), without); }).find("has no token for {eos}"),
            std::string::npos);
}

TEST_F(ChatTemplateTest, RefusesPatternsThatAreNone) {
  auto tokenizer = open();
  const ChatPattern good{.user = "U{content}", .assistant = "A{content}{eos}"};
  const auto error_of = [&](auto change) {
    auto pattern = good;
    change(pattern);
    try {
      ChatTemplate(custom(pattern), tokenizer);
    } catch (const ConfigError& error) {
      return std::string(error.what());
    }
    return std::string("none");
  };
  EXPECT_EQ(error_of([](auto&) {}), "none");
  const auto expect_error = [&](auto change, const std::string& part) {
    EXPECT_NE(error_of(change).find(part), std::string::npos) << error_of(change);
  };
  expect_error([](auto& p) { p.user = ""; }, "data.chat.pattern.user = \"\" must be given");
  expect_error([](auto& p) { p.user = "U"; }, "{content} 1 times");
  expect_error([](auto& p) { p.user = "{content}{content}"; }, "has them 2");
  expect_error([](auto& p) { p.user = "{content}{input}"; }, "{input} 0 times");
  expect_error([](auto& p) { p.user_with_input = "{content}"; }, "{input} 1 times");
  expect_error([](auto& p) { p.begin = "{content}"; }, "{content} 0 times");
  expect_error([](auto& p) { p.user = "U {content"; }, "single { at character 2; write {{");
  expect_error([](auto& p) { p.user = "U} {content}"; }, "single } at character 1; write }}");
  expect_error([](auto& p) { p.assistant = "A{content}\n"; },
               "must have a token such as {eos} behind {content}");
  expect_error([](auto& p) { p.assistant = "{eos}{content}"; },
               "must have a token such as {eos} behind {content}");
}

TEST_F(ChatTemplateTest, FindsTokensThatAreSpelledOut) {
  auto tokenizer = open();
  const ChatPattern good{.user = "U{content}", .assistant = "{<|im_start|>}{content}{eos}"};
  EXPECT_NO_THROW(ChatTemplate(custom(good), tokenizer).check_spelling());
  auto bad = good;
  bad.user = "<|im_start|>user {content}";
  const ChatTemplate chat(custom(bad), tokenizer);
  try {
    chat.check_spelling();
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("write {<|im_start|>}"), std::string::npos) << error.what();
  }
}

TEST_F(ChatTemplateTest, RefusesATurnWithoutAPlace) {
  auto tokenizer = open();
  const ChatTemplate chat_template(custom({.user = "U{content}", .assistant = "A{content}{eos}"}), tokenizer);
  EXPECT_THROW(chat_template.render({{Role::kSystem, "Be brief."}}), UserError);
}

}  // namespace
}  // namespace granule
