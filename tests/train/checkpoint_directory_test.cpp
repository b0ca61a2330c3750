#include "train/checkpoint_directory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/check.h"
#include "tests/support/temporary_directory.h"

namespace granule {
namespace {

namespace fs = std::filesystem;

void make(const std::string& path, bool with_manifest = true) {
  fs::create_directories(path);
  if (with_manifest) std::ofstream(path + "/" + kManifestName) << "{}";
}

std::vector<std::string> names_in(const std::string& path) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(path)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

using Names = std::vector<std::string>;

TEST(CheckpointDirectory, ListsCompleteCheckpointsNewestFirst) {
  const TemporaryDirectory directory;
  for (const char* name :
       {"step-0000100", "step-0002000", "step-12345678", "step-0000300.tmp-1", "step-0000400.bad", "step-5",
        "step-00000000500", "step--000001", "step-0000x00", "other", "step-"}) {
    make(directory.path(name));
  }
  std::ofstream(directory.path("step-0000600")) << "a file";
  fs::create_directory_symlink(directory.path("other"), directory.path("step-0000700"));
  std::vector<int64_t> steps;
  for (const auto& found : list_checkpoints(directory.path())) {
    steps.push_back(found.step);
    EXPECT_EQ(found.path, directory.path(checkpoint_name(found.step)));
  }
  EXPECT_EQ(steps, (std::vector<int64_t>{12345678, 2000, 700, 100})) << "a link to a checkpoint is one";
  EXPECT_TRUE(list_checkpoints(directory.path("none")).empty());
}

TEST(CheckpointDirectory, LinksThatLeadNowhereAreNoNewRun) {
  const TemporaryDirectory directory, elsewhere;
  make(elsewhere.path("disk/step-0000100"));
  make(directory.path("run/step-0000050"));
  fs::create_directory_symlink(elsewhere.path("disk"), directory.path("checkpoints"));
  fs::create_directory_symlink(elsewhere.path("disk/step-0000100"), directory.path("run/step-0000100"));
  EXPECT_EQ(list_checkpoints(directory.path("checkpoints")).size(), 1u);
  EXPECT_EQ(list_checkpoints(directory.path("run")).size(), 2u);
  fs::rename(elsewhere.path("disk"), elsewhere.path("unmounted"));
  EXPECT_THROW(list_checkpoints(directory.path("checkpoints")), InputError);
  EXPECT_THROW(list_checkpoints(directory.path("run")), InputError);
}

TEST(CheckpointDirectory, FindsACheckpointItsDirectoryAndItsRun) {
  const TemporaryDirectory run;
  const auto checkpoints = run.path("checkpoints");
  make(checkpoints + "/step-0000001");
  make(checkpoints + "/step-0000002");
  make(run.path("copied"));
  for (const auto& path : {run.path(), run.path() + "/", checkpoints}) {
    const auto found = find_checkpoints(path);
    ASSERT_EQ(found.size(), 2u) << path;
    EXPECT_EQ(found[0].step, 2);
  }
  ASSERT_EQ(find_checkpoints(checkpoints + "/step-0000001/").size(), 1u);
  EXPECT_EQ(find_checkpoints(checkpoints + "/step-0000001/")[0].path, checkpoints + "/step-0000001");
  EXPECT_EQ(find_checkpoints(run.path("copied")).size(), 1u);
  EXPECT_TRUE(find_checkpoints(run.path("none")).empty());
}

TEST(CheckpointDirectory, RemovesOnlyItsOwnLeftovers) {
  const TemporaryDirectory directory;
  for (const char* name :
       {"step-0000100", "step-0000200.tmp-abc", "step-0000300.bad", "mine.tmp-1", "step-7.tmp-1"}) {
    make(directory.path(name));
  }
  std::ofstream(directory.path("latest.tmp-12")) << "x";
  std::ofstream(directory.path("latest")) << "x";
  std::ofstream(directory.path("step-0000900.tmp-file")) << "x";
  remove_stale_checkpoints(directory.path(), {});
  EXPECT_EQ(names_in(directory.path()), (Names{"latest", "mine.tmp-1", "step-0000100", "step-0000300.bad",
                                               "step-0000900.tmp-file", "step-7.tmp-1"}));
}

TEST(CheckpointDirectory, PrunesOldestFirstAndOnlyWhatIsOurs) {
  const TemporaryDirectory directory;
  for (const int step : {100, 200, 300, 400, 500}) make(directory.path(checkpoint_name(step)));
  make(directory.path("step-0000050"), /*with_manifest=*/false);
  make(directory.path("step-0000350.bad"));
  std::vector<std::string> renamed;
  const CheckpointFiles files([&](std::string_view operation, const std::string& path) {
    if (operation == "rename") renamed.push_back(fs::path(path).filename().string().substr(0, 12));
  });
  prune_checkpoints(directory.path(), 2, files);
  EXPECT_EQ(names_in(directory.path()),
            (Names{"step-0000050", "step-0000350.bad", "step-0000400", "step-0000500"}));
  EXPECT_EQ(renamed, (Names{"step-0000100", "step-0000200", "step-0000300"}));
  prune_checkpoints(directory.path(), 1, {});
  prune_checkpoints(directory.path(), 1, {});
  EXPECT_EQ(names_in(directory.path()), (Names{"step-0000050", "step-0000350.bad", "step-0000500"}));
  EXPECT_THROW(prune_checkpoints(directory.path(), 0, {}), std::logic_error);
}

TEST(CheckpointDirectory, BadOnesGetNamesOfTheirOwn) {
  const TemporaryDirectory directory;
  for (const char* expected : {"step-0000100.bad", "step-0000100.bad-2", "step-0000100.bad-3"}) {
    make(directory.path("step-0000100"));
    EXPECT_EQ(mark_bad_checkpoint(directory.path("step-0000100"), {}), directory.path(expected));
    EXPECT_TRUE(list_checkpoints(directory.path()).empty());
  }
}

TEST(CheckpointDirectory, OfATokenizerItsSideFilesAreCarriedToo) {
  const TemporaryDirectory model;
  write_text_file_durably(model.path("mine.json"), "{}");
  write_text_file_durably(model.path("merges.txt"), "");
  const auto files = tokenizer_files(model.path("mine.json"));
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[0].path, model.path("mine.json"));
  EXPECT_EQ(files[0].name, "tokenizer.json");
  EXPECT_EQ(files[1].path, model.path("merges.txt"));
  EXPECT_EQ(files[1].name, "merges.txt");
  EXPECT_EQ(tokenizer_files(model.path("none.json")).size(), 1u);
}

TEST(CheckpointDirectory, LatestIsReplacedWhole) {
  const TemporaryDirectory directory;
  for (const int step : {100, 200}) {
    write_latest(directory.path(), step, {});
    EXPECT_EQ(read_text_file(directory.path("latest"), 100), checkpoint_name(step) + "\n");
    EXPECT_EQ(names_in(directory.path()), Names{"latest"});
  }
}

}  // namespace
}  // namespace granule
