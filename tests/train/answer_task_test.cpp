#include "train/answer_task.h"

#include <gtest/gtest.h>

#include "data/text_stream.h"
#include "tests/support/byte_words.h"
#include "tests/support/chat_files.h"
#include "tests/support/evaluation_files.h"
#include "tests/support/naive_generation.h"
#include "tests/support/small_model.h"
#include "train/batch_generator.h"

namespace granule {
namespace {

TEST(Answer, TheStrictOneStandsBehindTheFirstMark) {
  EXPECT_EQ(strict_answer("so 3 + 4 = 7\n#### 7\n#### 8"), "7");
  EXPECT_EQ(strict_answer("#### -1,234.50."), "-1,234.50.");
  EXPECT_EQ(strict_answer("####7 is no answer, nor is #### x"), "[invalid]");
}

TEST(Answer, TheFlexibleOneIsTheLastNumber) {
  EXPECT_EQ(flexible_answer("so 3 + 4 = 7, and that is it"), "7,");
  EXPECT_EQ(flexible_answer("it costs $1,200.00 today"), "$1,200.00");
  EXPECT_EQ(flexible_answer("3 of -45 x"), "-45");
  EXPECT_EQ(flexible_answer("wait..."), "...");  // as the harness has it
  EXPECT_EQ(flexible_answer("none at all"), "[invalid]");
}

TEST(Answer, PunctuationDoesNotCount) {
  EXPECT_EQ(normalized_answer("$1,234."), "1234");
  EXPECT_EQ(normalized_answer("some words\n#### 5 more #### 72"), "72");
  EXPECT_EQ(normalized_answer("1.5"), "1.5");
}

class AnswerTask : public testing::Test {
 protected:
  AnswerTask() : model_(byte_model_config(), alone(), at::kFloat) { model_.initialize(2); }

  TaskReport run(const Examinee& examinee, const std::string& lines) {
    return run_answer_task(examinee, directory_.write_bytes("x.jsonl", lines));
  }

  DataDirectory directory_;
  Tokenizer tokenizer_ = evaluation_tokenizer(directory_);
  Transformer model_;
  Examinee examinee_{
      model_, alone(), tokenizer_, {.max_length = 40, .batch_size = 2}, 12, tokenizer_.stop_ids(), {}};
};

TEST_F(AnswerTask, ReadsWhatTheModelWritesUpToTheStopText) {
  const std::string line = R"({"query": "Q: 3 + 4? A:", "target": "#### 7"})";
  const auto whole = run(examinee_, line).samples.at(0)["answer"].get<std::string>();
  ASSERT_GT(whole.size(), 4u);
  // A stop text of two characters from its middle; where it comes first decides.
  const auto stop = whole.substr(whole.size() / 2, 2);
  examinee_.stops = {"never", stop};
  EXPECT_EQ(run(examinee_, line).samples.at(0)["answer"], whole.substr(0, whole.find(stop)));
}

// The token that the model writes somewhere in its answer, made a special one: its text is no longer there to
// find.
TEST_F(AnswerTask, AStopTextMayBeASpecialToken) {
  const std::string query = "Q: 3 + 4? A:";
  auto ids = naive_continuation(model_, tokenizer_.encode(query), examinee_.max_tokens);
  const int64_t stop = ids.at(3);
  const auto name = word_of_bytes(std::string(1, static_cast<char>(stop)));
  auto file = nlohmann::json::parse(byte_tokenizer({"<|endoftext|>"}));
  file["added_tokens"].push_back({{"id", stop}, {"content", name}, {"special", true}});
  Tokenizer special(directory_.write_bytes("special.json", file.dump()));
  ids.erase(std::find(ids.begin(), ids.end(), stop), ids.end());

  const Examinee examinee{model_, alone(),        special, examinee_.limits, examinee_.max_tokens,
                          {},     {"never", name}};
  const auto report = run(examinee, nlohmann::json{{"query", query}, {"target", "7"}}.dump());
  EXPECT_EQ(report.samples.at(0)["answer"], readable_text(special, ids));
  const Examinee by_id{model_, alone(), special, examinee_.limits, examinee_.max_tokens, {stop}, {}};
  EXPECT_EQ(run(by_id, nlohmann::json{{"query", query}, {"target", "7"}}.dump()).samples, report.samples);
}

TEST_F(AnswerTask, AQueryMayBeEmptyIfATextHasABeginning) {
  EXPECT_EQ(run(examinee_, R"({"query": "", "target": "1"})").samples.at(0)["answer"],
            run(examinee_, R"({"query": "<|endoftext|>", "target": "1"})").samples.at(0)["answer"]);
}

TEST_F(AnswerTask, RefusesIdsThatTheModelLacks) {
  auto config = byte_model_config();
  config.vocab_size = 'q';
  Transformer small(config, alone(), at::kFloat);
  const Examinee examinee{small, alone(), tokenizer_, examinee_.limits, examinee_.max_tokens, {}, {}};
  EXPECT_THROW(run(examinee, R"({"query": "q", "target": "1"})"), ConfigError);
}

TEST_F(AnswerTask, OfALongQueryTheEndIsRead) {
  const std::string end = "0123456789012345678901234567";
  const auto lines = R"({"query": "a)" + end + R"(", "target": "1"})" + "\n" + R"({"query": ")" + end +
                     R"(", "target": "1"})";
  const auto report = run(examinee_, lines);
  EXPECT_EQ(report.samples.at(0)["answer"], report.samples.at(1)["answer"]);
  EXPECT_EQ(report.metrics["examples"], 2);
}

TEST_F(AnswerTask, RefusesAnswersAsLongAsAllTheModelReads) {
  examinee_.max_tokens = 40;
  EXPECT_THROW(run(examinee_, R"({"query": "q", "target": "1"})"), ConfigError);
}

}  // namespace
}  // namespace granule
