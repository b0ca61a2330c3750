#include "train/request_list.h"

#include <gtest/gtest.h>

#include "tests/support/evaluation_files.h"
#include "tests/support/small_model.h"
#include "train/scored_text.h"

namespace granule {
namespace {

class RequestListTest : public testing::Test {
 protected:
  RequestListTest() : model_(byte_model_config(), alone(), at::kFloat) { model_.initialize(2); }

  DataDirectory directory_;
  Tokenizer tokenizer_ = evaluation_tokenizer(directory_);
  Transformer model_;
  Examinee examinee_{model_, alone(), tokenizer_, {.max_length = 8, .batch_size = 3}};
};

TEST_F(RequestListTest, GivesEachExampleItsAnswers) {
  RequestList requests(examinee_, "file");
  requests.begin_example();
  requests.add("ab", " c");
  requests.add("ab", " d");
  requests.begin_example();
  requests.add_rolling("a text of some length");
  requests.begin_example();
  requests.add_rolling("");
  EXPECT_EQ(requests.num_scored(), 2 + 2 + 21);
  const auto answers = requests.score();
  ASSERT_EQ(answers.size(), 3u);
  EXPECT_EQ(answers[0].size(), 2u);
  EXPECT_EQ(answers[1].size(), 3u);
  EXPECT_TRUE(answers[2].empty());
  EXPECT_NEAR(answers[0][1].log_probability,
              naive_likelihood(model_, request_for(tokenizer_, "ab", " d", 8), 8).log_probability, 1e-4);
}

TEST_F(RequestListTest, SaysWhichExampleCannotBeScored) {
  RequestList requests(examinee_, "file.jsonl");
  requests.begin_example();
  requests.add("ab", " c");
  requests.begin_example();
  const auto error = input_error_of([&] { requests.add("a", "far too long for this"); });
  EXPECT_NE(error.find("file.jsonl: example 2: what is scored has 21 tokens"), std::string::npos) << error;
}

TEST_F(RequestListTest, RefusesIdsThatTheModelLacks) {
  auto config = byte_model_config();
  config.vocab_size = 'c';
  Transformer small(config, alone(), at::kFloat);
  const Examinee examinee{small, alone(), tokenizer_, {.max_length = 8, .batch_size = 3}};
  RequestList requests(examinee, "file");
  requests.begin_example();
  EXPECT_NO_THROW(requests.add("ab", "b"));
  EXPECT_THROW(requests.add("ab", "c"), ConfigError);
  EXPECT_THROW(requests.add("ac", "b"), ConfigError);
  EXPECT_THROW(requests.add_rolling("abc"), ConfigError);
}

}  // namespace
}  // namespace granule
