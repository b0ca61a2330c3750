#include "data/open_sources.h"

#include <gtest/gtest.h>

#include "tests/support/chat_files.h"
#include "tests/support/token_files.h"

namespace granule {
namespace {

TEST(OpenSources, WeighsFilesByTokensUnlessWeightsAreGiven) {
  const DataDirectory directory;
  // Ids tell which file a sample is from.
  const auto count_of_second = [&](std::vector<double> weights) {
    DataConfig config;
    config.train = {directory.write_tokens("a", {std::vector<int64_t>(300, 1)}),
                    directory.write_tokens("b", {std::vector<int64_t>(100, 2)})};
    config.weights = std::move(weights);
    const auto source = open_training_source(config, 8, 3, 1);
    int64_t count = 0;
    for (int64_t i = 0; i < 400; ++i) count += read_sample(*source, i).token[0] == 2;
    return count;
  };
  EXPECT_NEAR(static_cast<double>(count_of_second({})), 100, 1);
  EXPECT_NEAR(static_cast<double>(count_of_second({1, 1})), 200, 1);
}

TEST(OpenSources, SaysWhichFilesAreMissing) {
  EXPECT_THROW(open_training_source({}, 8, 10, 1), ConfigError);
  EXPECT_THROW(open_validation_source({}, 8, 10), ConfigError);
  const DataDirectory directory;
  DataConfig config;
  config.valid = {directory.write_tokens("empty", {})};
  EXPECT_NE(input_error_of([&] { open_validation_source(config, 8, 10); }).find("no token to predict"),
            std::string::npos);
}

TEST(OpenSources, RefusesIdsBeyondTheVocabulary) {
  const DataDirectory directory;
  DataConfig config;
  config.train = config.valid = {directory.write_tokens("a", {std::vector<int64_t>(20, 9)})};
  const auto train = open_training_source(config, 8, 9, 1);
  EXPECT_NE(input_error_of([&] { read_sample(*train, 0); }).find("is 9, expected 0 to 8"), std::string::npos);
  const auto valid = open_validation_source(config, 8, 9);
  EXPECT_NE(input_error_of([&] { read_sample(*valid, 0); }).find("is 9, expected 0 to 8"), std::string::npos);
}

TEST(OpenSources, ReadsConversationsForSoManyEpochs) {
  const DataDirectory directory;
  DataConfig config;
  config.train = {directory.write_bytes("a.jsonl", R"({"prompt": "u", "completion": "a"})"),
                  directory.write_bytes("b.jsonl", R"({"prompt": "v", "completion": "b"})")};
  config.valid = {config.train[1]};
  config.chat.packing = false;
  const auto error = [&] {
    try {
      open_training_source(config, 40, 300, 1);
    } catch (const ConfigError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_NE(error().find("must be the tokenizer.json"), std::string::npos) << error();

  const std::vector<std::string> added{"<|endoftext|>"};
  directory.write_bytes("tokenizer.json", byte_tokenizer(added));
  EXPECT_EQ(open_training_source(config, 40, 300, 1)->num_samples(), SampleSource::kEndless);
  EXPECT_EQ(open_training_source(config, 40, 300, 1, 3)->num_samples(), 6);
  const auto valid = open_validation_source(config, 40, 300);
  ASSERT_EQ(valid->num_samples(), 1);
  auto expected = byte_ids("User: v\n\nAssistant: b<|endoftext|>", added);
  expected.resize(41);
  EXPECT_EQ(read_sample(*valid, 0).token, expected);

  config.chat.packing = true;
  EXPECT_EQ(open_training_source(config, 80, 300, 1, 3)->num_samples(), 3);
}

TEST(OpenSources, HasNoEpochsOfTokenFiles) {
  const DataDirectory directory;
  DataConfig config;
  config.train = {directory.write_tokens("a", {std::vector<int64_t>(20, 9)})};
  EXPECT_THROW(open_training_source(config, 8, 10, 1, 1), ConfigError);
}

}  // namespace
}  // namespace granule
