#include "train/evaluation_task.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "tests/support/evaluation_files.h"
#include "tests/support/small_model.h"
#include "train/scored_text.h"

namespace granule {
namespace {

class EvaluationTask : public testing::Test {
 protected:
  EvaluationTask() : model_(byte_model_config(), alone(), at::kFloat) { model_.initialize(2); }

  TaskReport run(const std::string& task, const std::string& lines,
                 const std::string& name = "examples.jsonl") {
    return run_task(task, examinee_, directory_.write_bytes(name, lines));
  }
  double log_probability(std::string_view context, std::string_view continuation) {
    return naive_likelihood(model_, request_for(tokenizer_, context, continuation, 32), 32).log_probability;
  }

  DataDirectory directory_;
  Tokenizer tokenizer_ = evaluation_tokenizer(directory_);
  Transformer model_;
  Examinee examinee_{model_, alone(), tokenizer_, {.max_length = 32, .batch_size = 4}};
};

TEST_F(EvaluationTask, ChoiceTakesTheBestInTotalPerCharacterAndPerByte) {
  const std::vector<std::string> choices{"b", "long answer", "\u00e9\u00e8\u20ac", "x y"};
  std::vector<double> total, per_character, per_byte;
  for (size_t i = 0; i < choices.size(); ++i) {
    total.push_back(log_probability("a question:", " " + choices[i]));
    per_character.push_back(total[i] / std::vector<double>{1, 11, 3, 3}[i]);
    per_byte.push_back(total[i] / static_cast<double>(choices[i].size()));
  }
  const auto best = [](const std::vector<double>& scores) {
    return std::max_element(scores.begin(), scores.end()) - scores.begin();
  };
  // The three ways to choose differ here, or the test would not tell them apart.
  ASSERT_NE(best(total), best(per_character));
  for (int64_t gold = 0; gold < 4; ++gold) {
    nlohmann::json line{{"query", "a question:"}, {"choices", choices}, {"gold", gold}, {"extra", 1}};
    const auto report = run("choice", line.dump() + "\n");
    EXPECT_EQ(report.metrics["acc"], gold == best(total) ? 1 : 0) << gold;
    EXPECT_EQ(report.metrics["acc_norm"], gold == best(per_character) ? 1 : 0) << gold;
    EXPECT_EQ(report.metrics["acc_bytes"], gold == best(per_byte) ? 1 : 0) << gold;
    EXPECT_NEAR(report.samples.at(0)["log_probabilities"][2].get<double>(), total[2], 1e-4);
  }
}

TEST_F(EvaluationTask, OfEqualChoicesTheFirstCounts) {
  const std::string line = R"({"query": "q", "choices": ["a", "a"], "gold": )";
  EXPECT_EQ(run("choice", line + "0}").metrics["acc"], 1);
  EXPECT_EQ(run("choice", line + "1}").metrics["acc"], 0);
}

TEST_F(EvaluationTask, MatchCountsGreedyTargets) {
  std::string greedy;
  for (char c = 1; c > 0 && greedy.empty(); ++c) {
    const std::string target(1, c);
    if (naive_likelihood(model_, request_for(tokenizer_, "query", target, 32), 32).greedy) greedy = target;
  }
  ASSERT_FALSE(greedy.empty()) << "another seed is needed: the likeliest token is no character";
  nlohmann::json right{{"query", "query"}, {"target", greedy}};
  nlohmann::json wrong{{"query", "query"}, {"target", greedy + "zz"}};
  const auto report = run("match", right.dump() + "\n\n" + wrong.dump());
  EXPECT_EQ(report.metrics["examples"], 2);
  EXPECT_EQ(report.metrics["acc"], 0.5);
  const double sum = log_probability("query", greedy) + log_probability("query", greedy + "zz");
  EXPECT_NEAR(report.metrics["perplexity"].get<double>(), std::exp(-sum / 2), 1e-2);
}

TEST_F(EvaluationTask, RollingCountsWordsAndBytes) {
  const std::string text = " two w\u00f6rds\n\nand more than fits into one window of tokens ";
  double nats = 0;
  for (const auto& request : rolling_requests(tokenizer_, text, 32)) {
    nats -= naive_likelihood(model_, request, 32).log_probability;
  }
  const auto bytes = static_cast<double>(text.size());
  for (const bool as_jsonl : {false, true}) {
    const auto report =
        as_jsonl ? run("rolling", nlohmann::json{{"text", text}}.dump()) : run("rolling", text, "text.txt");
    EXPECT_EQ(report.metrics["bytes"], text.size());
    EXPECT_EQ(report.metrics["tokens"], text.size());
    EXPECT_NEAR(report.metrics["bits_per_byte"].get<double>(), nats / bytes / std::numbers::ln2, 1e-5);
    EXPECT_NEAR(report.metrics["byte_perplexity"].get<double>(), std::exp(nats / bytes), 1e-2);
    // 11 words and an empty one at each end.
    EXPECT_NEAR(std::log(report.metrics["word_perplexity"].get<double>()), nats / 13, 1e-4);
  }
}

TEST_F(EvaluationTask, RefusesFilesOfAnotherKind) {
  const auto error_of = [&](const std::string& task, const std::string& lines) {
    return input_error_of([&] { run(task, lines); });
  };
  EXPECT_NE(error_of("choice", "").find("holds no examples"), std::string::npos);
  EXPECT_NE(
      error_of("choice", "\n{\"query\": \"a\"}").find("examples.jsonl:2: field (top) has no \"choices\""),
      std::string::npos);
  EXPECT_NE(error_of("rolling", R"({"text": ""})").find("nothing but empty texts"), std::string::npos);
  EXPECT_NE(error_of("match", R"({"query": "a", "target": ""})").find("field target is empty"),
            std::string::npos);
}

}  // namespace
}  // namespace granule
