#include "data/task_examples.h"

#include <gtest/gtest.h>

#include "tests/support/token_files.h"

namespace granule {
namespace {

class TaskExamples : public testing::Test {
 protected:
  std::string file(const std::string& text, const std::string& name = "x.jsonl") {
    return directory_.write_bytes(name, text);
  }
  std::string choice_error(const std::string& line) {
    return input_error_of([&] { read_choice_examples(file(line)); });
  }

  DataDirectory directory_;
};

TEST_F(TaskExamples, ReadsChoices) {
  const auto examples = read_choice_examples(file(R"({"query": "", "choices": ["a", "\u00e9"], "gold": 1})"));
  ASSERT_EQ(examples.size(), 1u);
  EXPECT_EQ(examples[0].query, "");
  EXPECT_EQ(examples[0].choices, (std::vector<std::string>{"a", "\u00e9"}));
  EXPECT_EQ(examples[0].gold, 1);
}

TEST_F(TaskExamples, RefusesChoicesThatCannotBeAnswered) {
  EXPECT_NE(
      choice_error(R"({"query": "q", "choices": ["a"], "gold": 0})").find("field choices has less than two"),
      std::string::npos);
  EXPECT_NE(
      choice_error(R"({"query": "q", "choices": ["a", ""], "gold": 0})").find("field choices[1] is empty"),
      std::string::npos);
  EXPECT_NE(
      choice_error(R"({"query": "q", "choices": ["a", "b"], "gold": 2})").find("whole number from 0 to 1"),
      std::string::npos);
  EXPECT_NE(choice_error(R"({"query": "q", "choices": ["a", "b"], "gold": "a"})").find("field gold is \"a\""),
            std::string::npos);
}

TEST_F(TaskExamples, ReadsTargetsAndTexts) {
  const auto targets = read_target_examples(file(R"({"query": "q", "target": " t"})"));
  EXPECT_EQ(targets.at(0).target, " t");
  EXPECT_EQ(read_texts(file("{\"text\": \"a\"}\n{\"text\": \"\"}")), (std::vector<std::string>{"a", ""}));
  EXPECT_EQ(read_texts(file("{\"text\": \xff", "x.txt")), (std::vector<std::string>{"{\"text\": \uFFFD"}));
}

TEST_F(TaskExamples, ReadsPromptsByLine) {
  EXPECT_EQ(read_prompts(file("a b\r\n\nc", "x.txt")), (std::vector<std::string>{"a b", "", "c"}));
  EXPECT_EQ(read_prompts(file("{\"prompt\": \"a\"}")), (std::vector<std::string>{"a"}));
  EXPECT_NE(input_error_of([&] { read_prompts(file("", "x.txt")); }).find("holds no prompts"),
            std::string::npos);
}

TEST_F(TaskExamples, DropsTheMarkThatSomeProgramsBeginFilesWith) {
  EXPECT_EQ(read_prompts(file("\uFEFFa\n\uFEFFb", "x.txt")), (std::vector<std::string>{"a", "\uFEFFb"}));
  EXPECT_EQ(read_texts(file("\uFEFFa", "x.txt")), (std::vector<std::string>{"a"}));
}

}  // namespace
}  // namespace granule
