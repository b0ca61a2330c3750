#include "train/checkpoint_summary.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/check.h"
#include "tests/support/checkpoint_run.h"
#include "tests/support/temporary_directory.h"

namespace granule {
namespace {

TEST(CheckpointSummary, SaysWhatTheCheckpointHolds) {
  const TemporaryDirectory run;
  write_coded_checkpoint(run.path("checkpoints"), 2, 2, 3, at::kBFloat16);
  const auto summary = summarize_checkpoint(run.path(), true);
  EXPECT_TRUE(summary.intact);
  for (const char* words :
       {"step 3, 3 updates, 2 skipped; seed 1234", "96 samples", "4 ranks = pipeline 1 x data 2 x expert 2",
        "in 11 tensors", "dense   BF16", "dense   F32", "expert  BF16", "rank-00003.safetensors",
        "hashes verified", "  ok\n"}) {
    EXPECT_NE(summary.text.find(words), std::string::npos) << words << " in\n" << summary.text;
  }
}

TEST(CheckpointSummary, NamesDamagedFiles) {
  const TemporaryDirectory run;
  write_coded_checkpoint(run.path("checkpoints"), 1, 1, 3);
  const auto path = run.path("checkpoints/step-0000003");
  std::ofstream(path + "/config.yaml", std::ios::trunc) << "run_dir: y\n";
  EXPECT_TRUE(summarize_checkpoint(path, false).intact);
  const auto summary = summarize_checkpoint(path, true);
  EXPECT_FALSE(summary.intact);
  EXPECT_NE(summary.text.find("DAMAGED: " + path + "/config.yaml"), std::string::npos) << summary.text;
  EXPECT_THROW(summarize_checkpoint(run.path("none"), true), InputError);
}

}  // namespace
}  // namespace granule
