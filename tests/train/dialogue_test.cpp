#include "train/dialogue.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "comm/loopback_communicator.h"
#include "data/text_stream.h"
#include "tests/support/evaluation_files.h"
#include "tests/support/naive_generation.h"
#include "tests/support/small_model.h"

namespace granule {
namespace {

bool listen(std::string_view) {
  return true;
}

class DialogueTest : public testing::Test {
 protected:
  DialogueTest() : model_(byte_model_config(), alone(), at::kFloat) { model_.initialize(6); }

  Dialogue open(const DialogueConfig& config) { return Dialogue(model_, alone(), tokenizer_, chat_, config); }
  DialogueConfig greedy(int64_t max_tokens, int64_t max_length) {
    return {.sampling = {.temperature = 0, .max_tokens = max_tokens},
            .system = "",
            .max_length = max_length,
            .stop_ids = chat_.stop_ids()};
  }
  // What the model says after these turns, by a forward pass for each token.
  std::string expected_answer(const Conversation& turns, int64_t max_tokens) {
    auto ids = naive_continuation(model_, chat_.prompt(turns), max_tokens);
    ids.erase(std::find(ids.begin(), ids.end(), chat_.stop_ids().at(0)), ids.end());
    auto text = readable_text(tokenizer_, ids);
    // The space before an answer is the template's.
    if (text.starts_with(' ')) text.erase(0, 1);
    return text;
  }

  DataDirectory directory_;
  Tokenizer tokenizer_ = evaluation_tokenizer(directory_);
  ChatTemplate chat_{ChatConfig{}, tokenizer_};
  Transformer model_;
};

TEST_F(DialogueTest, EachAnswerFollowsFromAllThatWasSaid) {
  auto dialogue = open(greedy(5, 400));
  Conversation turns;
  std::string heard;
  for (const char* said : {"one", "and two", "three?"}) {
    turns.push_back({Role::kUser, said});
    const auto expected = expected_answer(turns, 5);
    heard.clear();
    EXPECT_EQ(dialogue.answer(said, [&](std::string_view piece) { return heard += piece, true; }), expected);
    EXPECT_EQ(heard, expected);
    turns.push_back({Role::kAssistant, expected});
  }
  EXPECT_EQ(dialogue.turns().size(), 6u);
  dialogue.forget();
  EXPECT_EQ(dialogue.answer("x", listen), expected_answer({{Role::kUser, "x"}}, 5));
}

TEST_F(DialogueTest, EndsAnAnswerWhenTold) {
  auto dialogue = open(greedy(50, 400));
  int pieces = 0;
  const auto cut_off = dialogue.answer("one", [&](std::string_view) { return ++pieces < 3; });
  EXPECT_LE(pieces, 4);  // the fourth: what an unfinished character leaves
  EXPECT_EQ(dialogue.turns().back().content, cut_off);
  EXPECT_LT(cut_off.size(), expected_answer({{Role::kUser, "one"}}, 50).size());
}

TEST_F(DialogueTest, LeavesOutTheOldestTurnsThatDoNotFit) {
  auto dialogue = open(greedy(8, 90));
  for (int turn = 0; turn < 6; ++turn) dialogue.answer("twelve bytes", listen);
  EXPECT_LT(dialogue.turns().size(), 12u);
  EXPECT_EQ(dialogue.turns().size() % 2, 0u);
  EXPECT_EQ(dialogue.turns()[0].role, Role::kUser);
}

TEST_F(DialogueTest, KeepsTurnsThoughAnAnswerMayBeAsLongAsAllThatIsRead) {
  auto dialogue = open(greedy(500, 200));
  const auto say = [&](const std::string& said) {
    int pieces = 0;
    dialogue.answer(said, [&](std::string_view) { return ++pieces < 3; });
  };
  testing::internal::CaptureStderr();
  say("one");
  say("two");
  EXPECT_EQ(dialogue.turns().size(), 4u);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  // Half of what is read is kept for the answer; what is left out is said once.
  testing::internal::CaptureStderr();
  for (const char* said : {"three", "four", "five", "six"}) say(said);
  EXPECT_LT(dialogue.turns().size(), 12u);
  const auto log = testing::internal::GetCapturedStderr();
  const auto found = log.find("the conversation has outgrown the 200 tokens");
  EXPECT_NE(found, std::string::npos) << log;
  EXPECT_EQ(log.find("outgrown", found + 30), std::string::npos) << log;
}

TEST_F(DialogueTest, RefusesIdsThatTheModelLacks) {
  auto config = byte_model_config();
  config.vocab_size = 100;
  Transformer small(config, alone(), at::kFloat);
  Dialogue dialogue(small, alone(), tokenizer_, chat_, greedy(8, 90));
  EXPECT_THROW(dialogue.answer("one", listen), ConfigError);
}

TEST_F(DialogueTest, RefusesATurnThatIsTooLongAndGoesOnWithoutIt) {
  auto dialogue = open(greedy(8, 60));
  dialogue.answer("short", listen);
  const auto before = dialogue.turns().size();
  EXPECT_THROW(dialogue.answer(std::string(80, 'x'), listen), std::invalid_argument);
  EXPECT_EQ(dialogue.turns().size(), before);
  EXPECT_NO_THROW(dialogue.answer("short", listen));
}

TEST_F(DialogueTest, TheSystemTurnStays) {
  auto config = greedy(4, 100);
  config.system = "be brief";
  auto dialogue = open(config);
  for (int turn = 0; turn < 6; ++turn) dialogue.answer("twelve bytes", listen);
  EXPECT_EQ(dialogue.turns()[0].role, Role::kSystem);
  dialogue.forget();
  ASSERT_EQ(dialogue.turns().size(), 1u);
  EXPECT_EQ(dialogue.answer("x", listen),
            expected_answer({{Role::kSystem, "be brief"}, {Role::kUser, "x"}}, 4));
}

TEST_F(DialogueTest, IsTheSameForRanksThatShareTheExperts) {
  const auto expected = expected_answer({{Role::kUser, "one"}}, 6);
  run_loopback(2, [&](Communicator& ranks) {
    Transformer model(byte_model_config(), ranks, at::kFloat);
    model.initialize(6);
    Dialogue dialogue(model, ranks, tokenizer_, chat_, greedy(6, 200));
    std::string heard;
    EXPECT_EQ(dialogue.answer("one", [&](std::string_view piece) { return heard += piece, true; }), expected);
    EXPECT_EQ(heard, ranks.rank() == 0 ? expected : "");
  });
}

}  // namespace
}  // namespace granule
