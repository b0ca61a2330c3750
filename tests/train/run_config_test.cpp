#include "train/run_config.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/token_files.h"

namespace granule {
namespace {

RunConfig parse(const std::string& text, int64_t num_ranks) {
  RunConfig config;
  ConfigDocument::from_text("run_dir: x\n" + text, "test.yaml")
      .read_into<RunConfig>(config, [&](const RunConfig& read) { read.check(num_ranks); });
  return config;
}

std::string refusal(const std::string& text, int64_t num_ranks) {
  try {
    parse(text, num_ranks);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(RunConfig, PrintsAndReadsBackTheSame) {
  const auto config = parse("model: {n_routed_experts: 8, num_experts_per_tok: 2}\n", 1);
  const auto text = print_config(config);
  RunConfig again;
  ConfigDocument::from_text(text, "printed").read_into<RunConfig>(again);
  EXPECT_EQ(print_config(again), text);
}

TEST(RunConfig, BatchMustBeAMultipleOfMicroBatchTimesRanks) {
  const auto text = refusal("train:\n  global_batch_size: 12\n  micro_batch_size: 2\n", 4);
  EXPECT_NE(text.find("test.yaml:3:"), std::string::npos) << text;
  EXPECT_NE(text.find("multiple of 8 = train.micro_batch_size 2 x 4 ranks"), std::string::npos) << text;
}

TEST(RunConfig, ExpertRanksMustDivideTheExpertsAndNeedSome) {
  EXPECT_NE(refusal("model: {n_routed_experts: 9}\nparallel: {expert: 2}\n", 2).find("n_routed_experts = 9"),
            std::string::npos);
  EXPECT_NE(refusal("parallel: {expert: 2}\n", 2).find("use parallel.data"), std::string::npos);
}

TEST(RunConfig, WhatOnlyTrainingNeedsIsNotAskedOfAJobThatRunsTheModel) {
  RunConfig config;
  config.train.global_batch_size = 1;
  EXPECT_THROW(config.check(4), ConfigError);
  EXPECT_NO_THROW(config.check_model(4));
}

TEST(RunConfig, EpochsLeaveTheLengthOfTheRunToTheData) {
  const std::string warm = "scheduler: {lr_warmup_iters: 50}\n";
  EXPECT_NE(refusal(warm + "train: {train_iters: 10}\n", 1).find("lr_warmup_iters"), std::string::npos);
  EXPECT_EQ(refusal(warm + "train: {train_iters: 10, num_train_epochs: 2}\n", 1), "accepted");
}

TEST(RunConfig, ConversationsAreReadWithTheTokenizerOfTheModelThatIsLoaded) {
  const DataDirectory directory;
  directory.write_bytes("tokenizer.json", "{}");
  const auto adopted = [&](const std::string& train, const std::string& load, const std::string& tokenizer) {
    RunConfig config;
    config.data.train = {train};
    config.data.tokenizer = tokenizer;
    config.checkpoint.load = load;
    config.adopt_tokenizer();
    return config.data.tokenizer;
  };
  const auto load = directory.path(".");
  EXPECT_EQ(adopted("a.jsonl", load, ""), load + "/tokenizer.json");
  EXPECT_EQ(adopted("a.jsonl", load, "mine.json"), "mine.json");
  EXPECT_EQ(adopted("a.jsonl", "", ""), "");
  EXPECT_EQ(adopted("a.jsonl", directory.path("none"), ""), "");
  EXPECT_EQ(adopted("tokens", load, ""), "");
}

TEST(RunConfig, TheTokenizerOfALoadedModelIsFoundWhereItsCheckpointsAre) {
  const DataDirectory run;
  const auto newest = run.path("checkpoints/step-0000002");
  std::filesystem::create_directories(newest);
  std::filesystem::create_directories(run.path("checkpoints/step-0000001"));
  run.write_bytes("checkpoints/step-0000002/tokenizer.json", "{}");
  for (const auto& load : {run.path(), run.path("checkpoints"), run.path("checkpoints") + "/", newest}) {
    RunConfig config;
    config.data.train = {"a.jsonl"};
    config.checkpoint.load = load;
    config.adopt_tokenizer();
    EXPECT_EQ(config.data.tokenizer, newest + "/tokenizer.json") << load;
  }
}

TEST(RunConfig, ARunThatHasBegunReadsConversationsWithItsOwnTokenizer) {
  const DataDirectory load, run;
  load.write_bytes("tokenizer.json", "{}");
  run.write_bytes("tokenizer.json", "{}");
  RunConfig config;
  config.run_dir = run.path();
  config.data.train = {"a.jsonl"};
  config.checkpoint.load = load.path();
  auto before = config;
  before.adopt_tokenizer();
  EXPECT_EQ(before.data.tokenizer, load.path("tokenizer.json"));
  std::filesystem::create_directories(run.path("checkpoints/step-0000000"));
  config.adopt_tokenizer();
  EXPECT_EQ(config.data.tokenizer, run.path("tokenizer.json"));
}

}  // namespace
}  // namespace granule
