#include "train/run_config.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace granule
