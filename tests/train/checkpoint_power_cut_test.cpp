#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "tests/support/checkpoint_run.h"
#include "tests/support/child_process.h"
#include "tests/support/temporary_directory.h"
#include "train/checkpoint_restore.h"

namespace granule {
namespace {

namespace fs = std::filesystem;

struct Operation {
  std::string what;
  std::string path;
};

// Every operation done, in order; the one at `wanted` is not, and the process with it.
CheckpointFiles recorded_until(int wanted, const std::string& record_path) {
  return CheckpointFiles(
      [=, count = std::make_shared<int>(0)](std::string_view what, const std::string& path) {
        // Any number of unsynced writes is lost alike.
        if (what != "write" && (*count)++ == wanted) kill(getpid(), SIGKILL);
        std::ofstream(record_path, std::ios::app) << what << '\t' << path << std::endl;
      });
}

std::vector<Operation> read_record(const std::string& path) {
  std::vector<Operation> operations;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    const auto tab = line.find('\t');
    operations.push_back({line.substr(0, tab), line.substr(tab + 1)});
  }
  return operations;
}

// Where a file made in a temporary directory lies after the rename.
std::string present_place(const std::string& path) {
  if (fs::exists(path)) return path;
  const auto begin = path.find(".tmp-"), end = path.find('/', begin);
  return end == std::string::npos ? path : path.substr(0, begin) + path.substr(end);
}

// What the disk holds if nothing reached it but what a sync demanded: contents of unsynced files are gone,
// and so are names in directories that were not synced afterwards.
void lose_power(const std::vector<Operation>& done) {
  std::set<std::string> synced;  // by a later operation
  for (auto operation = done.rbegin(); operation != done.rend(); ++operation) {
    const auto& [what, path] = *operation;
    const bool name_is_kept = synced.contains(fs::path(path).parent_path());
    if (what == "sync" || what == "sync directory") {
      synced.insert(path);
    } else if (what == "create") {
      const auto place = present_place(path);
      if (!name_is_kept) {
        fs::remove(place);
      } else if (!synced.contains(path) && fs::exists(place)) {
        fs::resize_file(place, 0);
      }
    } else if ((what == "make directory" || what == "rename") && !name_is_kept) {
      fs::remove_all(path);
    }
  }
}

TEST(CheckpointPowerCut, WhatWasCommittedIsNeverLostAndNothingElseIsTaken) {
  const TemporaryDirectory run;
  const auto pristine = run.path("pristine"), directory = run.path("c"), record = run.path("record");
  const auto older = write_coded_checkpoint(pristine, 1, 1, 2);
  const auto newer = write_coded_checkpoint(run.path("other"), 1, 1, 3);
  bool finished = false;
  int num_committed = 0;
  for (int wanted = 0; !finished; ++wanted) {
    fs::remove_all(directory);
    fs::remove(record);
    fs::copy(pristine, directory, fs::copy_options::recursive);
    const int status = run_in_child(
        [&] { write_coded_checkpoint(directory, 1, 1, 3, at::kFloat, recorded_until(wanted, record), 1); });
    finished = WIFEXITED(status);
    ASSERT_TRUE(!finished || WEXITSTATUS(status) == 0) << "at operation " << wanted;

    const auto done = read_record(record);
    bool renamed = false, committed = false;
    for (const auto& [what, path] : done) {
      renamed = renamed || (what == "rename" && path.ends_with("/step-0000003"));
      committed = committed || (renamed && what == "sync directory" && path == directory);
    }
    num_committed += committed;
    lose_power(done);

    run_layout(1, 1, [&](const LayoutRank& rank) {
      const auto parameters = coded_parameters(rank, 99);
      Optimizer optimizer(parameters, rank.groups, {});
      const auto checkpoint = open_newest_checkpoint(directory, rank.groups.world, {});
      ASSERT_TRUE(checkpoint.has_value()) << wanted;
      EXPECT_EQ(checkpoint->manifest().state.step, committed ? 3 : 2) << "power lost at operation " << wanted;
      restore_optimizer(*checkpoint, optimizer, rank.groups.world);
      expect_own_state(parameters, optimizer, committed ? newer : older, join_text("at operation ", wanted));
    });
  }
  EXPECT_GT(num_committed, 3);
}

}  // namespace
}  // namespace granule
