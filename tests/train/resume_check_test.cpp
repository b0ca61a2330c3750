#include "train/resume_check.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "tests/support/checkpoint_run.h"
#include "tests/support/temporary_directory.h"

namespace granule {
namespace {

// Four steps of 32 samples, of a config that says nothing but its run_dir.
class ResumeCheck : public testing::Test {
 protected:
  ResumeCheck() { write_coded_checkpoint(run_.path("c"), 1, 1, 4); }

  std::string check() const {
    return check_resume({config_, train_iters_, data_}, Checkpoint(run_.path("c/step-0000004")));
  }
  std::string refused_key() const {
    try {
      check();
    } catch (const ConfigError& error) {
      return error.key();
    }
    return "";
  }

  TemporaryDirectory run_;
  RunConfig config_;
  int64_t train_iters_ = 10;
  uint64_t data_ = coded_train_state(4).data_fingerprint;
};

TEST_F(ResumeCheck, WhatHasNotChangedGoesOnInSilence) {
  EXPECT_EQ(check(), "");
  config_.optimizer.lr = 1;
  config_.train.global_batch_size = 7;
  config_.data.train = {"the same file by another name"};
  EXPECT_EQ(check(), "");
}

TEST_F(ResumeCheck, AnotherOrderOfTheDataIsSaid) {
  const std::string said = "the data come in another order";
  data_ += 1;
  EXPECT_NE(check().find(said), std::string::npos);
  data_ -= 1;
  config_.rng.seed += 1;
  EXPECT_NE(check().find(said), std::string::npos);
}

TEST_F(ResumeCheck, AConfigThatCannotBeReadIsSaid) {
  write_text_file_durably(run_.path("c/step-0000004/config.yaml"), "ran_dir: x\n");
  config_.model.rope_theta = 5;
  EXPECT_NE(check().find("cannot be told: "), std::string::npos);
}

TEST_F(ResumeCheck, RefusesWhatIsNoGoingOn) {
  train_iters_ = 3;
  EXPECT_EQ(refused_key(), "train.train_iters");
  config_.train.num_train_epochs = 1;
  EXPECT_EQ(refused_key(), "train.num_train_epochs");
  train_iters_ = 10;
  EXPECT_EQ(refused_key(), "");
  config_.train.global_batch_size = 16;
  EXPECT_EQ(refused_key(), "train.global_batch_size");
  config_ = RunConfig();
  config_.model.rope_theta = 5;
  EXPECT_EQ(refused_key(), "model.rope_theta");
  config_ = RunConfig();
  config_.lora.rank = 8;
  EXPECT_EQ(refused_key(), "lora.rank");
}

}  // namespace
}  // namespace granule
