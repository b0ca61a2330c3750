#include "data/data_config.h"

#include <gtest/gtest.h>

#include "base/config.h"

namespace granule {
namespace {

DataConfig read(const std::string& yaml) {
  DataConfig config;
  ConfigDocument::from_text(yaml, "test.yaml").read_into(config);
  return config;
}

std::string error_of(const DataConfig& config) {
  try {
    config.check();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(DataConfig, ReadsWhatItPrints) {
  const auto config =
      read("train: [a/x, b/y]\nweights: [0.25, 3]\nvalid: [a/v]\nreset_attention_mask: true\n");
  EXPECT_EQ(config.train, (std::vector<std::string>{"a/x", "b/y"}));
  EXPECT_EQ(config.weights, (std::vector<double>{0.25, 3}));
  EXPECT_TRUE(config.reset_attention_mask);
  EXPECT_EQ(print_config(read(print_config(config))), print_config(config));
  EXPECT_EQ(error_of(config), "");
}

TEST(DataConfig, RefusesWeightsThatDoNotFitTheFiles) {
  EXPECT_NE(error_of(read("train: [x]\nweights: [1, 2]\n")).find("data.weights = [2 numbers]"),
            std::string::npos);
  EXPECT_NE(error_of(read("train: [x, y]\nweights: [1, 0]\n")).find("must be above 0"), std::string::npos);
}

TEST(DataConfig, TellsConversationsFromTokenFilesAndDoesNotMixThem) {
  EXPECT_TRUE(read("train: [a.jsonl, b.jsonl]\n").trains_on_chats());
  EXPECT_FALSE(read("train: [a, jsonl]\n").trains_on_chats());
  EXPECT_FALSE(DataConfig{}.trains_on_chats());
  EXPECT_TRUE(read("train: [a]\nvalid: [v.jsonl]\n").validates_on_chats());
  EXPECT_NE(error_of(read("train: [a.jsonl, b]\n")).find("data.train = a.jsonl, b mixes"), std::string::npos);
  EXPECT_NE(error_of(read("valid: [a.jsonl, b]\n")).find("data.valid = a.jsonl, b mixes"), std::string::npos);
  EXPECT_NE(error_of(read("train: [a.jsonl]\nweights: [1]\n")).find("is for token files"), std::string::npos);
}

TEST(DataConfig, TakesTheTokenizerBesideTheFirstFileUnlessToldOtherwise) {
  EXPECT_EQ(read("train: [corpus/train]\n").tokenizer_path(), "corpus/tokenizer.json");
  EXPECT_EQ(read("valid: [v]\n").tokenizer_path(), "tokenizer.json");
  EXPECT_EQ(read("train: [corpus/train]\ntokenizer: t/mine.json\n").tokenizer_path(), "t/mine.json");
  EXPECT_EQ(DataConfig{}.tokenizer_path(), "");
  EXPECT_NO_THROW(read("train: [corpus/train]\n").check_tokenizer());
  EXPECT_THROW(read("tokenizer: corpus/none.json\n").check_tokenizer(), ConfigError);
}

}  // namespace
}  // namespace granule
