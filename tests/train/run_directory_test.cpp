#include "train/run_directory.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/check.h"
#include "base/file.h"
#include "tests/support/temporary_directory.h"

namespace granule {
namespace {

TEST(RunDirectory, IsMadeAndHeldByOneOwnerAtATime) {
  const TemporaryDirectory temporary;
  const auto path = temporary.path("deep/run");
  {
    const RunDirectory first(path);
    EXPECT_THROW(RunDirectory second(path), InputError);
  }
  const RunDirectory again(path);
}

TEST(RunDirectory, IsNoModelOfHuggingFace) {
  const TemporaryDirectory temporary;
  write_text_file_durably(temporary.path("config.json"), "{}");
  EXPECT_THROW(RunDirectory run(temporary.path()), InputError);
}

TEST(RunDirectory, TouchesNoFilesOfOthers) {
  for (const auto* name : {"config.yaml", "metrics.jsonl", "tokenizer.json", "merges.txt"}) {
    const TemporaryDirectory temporary;
    write_text_file_durably(temporary.path(name), "mine");
    EXPECT_THROW(RunDirectory run(temporary.path()), InputError) << name;
    EXPECT_FALSE(std::filesystem::exists(temporary.path("lock")));
    EXPECT_EQ(read_text_file(temporary.path(name), 100), "mine");
  }
  const TemporaryDirectory temporary;
  write_text_file_durably(temporary.path("notes.txt"), "stay");
  { const RunDirectory run(temporary.path()); }
  write_text_file_durably(temporary.path("config.yaml"), "a run's");
  const RunDirectory again(temporary.path());
}

}  // namespace
}  // namespace granule
