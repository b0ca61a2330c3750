#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <filesystem>
#include <optional>

#include "comm/mesh.h"
#include "tests/multi_rank/multi_rank.h"
#include "tests/multi_rank/shared_directory.h"
#include "tests/support/checkpoint_run.h"
#include "train/checkpoint_restore.h"
#include "train/checkpoint_writer.h"

namespace granule {
namespace {

NamedState state_of_one_rank(int updates) {
  StateCollector collector;
  run_layout(1, 1, [&](const LayoutRank& rank) {
    const auto parameters = coded_parameters(rank, 3);
    Optimizer optimizer(parameters, rank.groups, {});
    run_updates(parameters, rank, optimizer, 1, updates);
    collector.add(parameters, optimizer);
  });
  return collector.state();
}

// Files of this process may not grow beyond `bytes` while it lives.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    handler_ = signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_;
  sighandler_t handler_;
};

TEST(Checkpoint, MovesBetweenAllLayoutsOfTheseRanks) {
  auto& world = multi_rank_world();
  const SharedDirectory directory(world.all());
  const auto expected = state_of_one_rank(3);
  std::string previous;
  for (const int expert : {1, 2, 4, 1}) {
    if (world.size() % expert != 0) continue;
    Mesh mesh(world, {.expert = expert});
    const LayoutRank rank{{mesh.world(), mesh.replica(), mesh.data()}, mesh.expert().rank(), expert};
    const auto parameters = coded_parameters(rank, 3);
    Optimizer optimizer(parameters, rank.groups, {});
    if (previous.empty()) {
      run_updates(parameters, rank, optimizer, 1, 3);
    } else {
      const auto checkpoint = open_newest_checkpoint(previous, mesh.world(), {});
      ASSERT_TRUE(checkpoint.has_value());
      restore_optimizer(*checkpoint, optimizer, mesh.world());
    }
    expect_own_state(parameters, optimizer, expected,
                     join_text("from ", previous, " with expert = ", expert));
    previous += previous.empty() ? directory.path("c") : "x";
    CheckpointWriter writer({.directory = previous}, mesh.world());
    writer.save({.step = 3}, optimizer);
  }
}

TEST(Checkpoint, TheLastRanksFullDiskIsAnErrorOnAllAndThePreviousOneStays) {
  auto& world = multi_rank_world();
  const SharedDirectory directory(world.all());
  Mesh mesh(world, {});
  const LayoutRank rank{{mesh.world(), mesh.replica(), mesh.data()}, mesh.expert().rank(), 1};
  const auto parameters = coded_parameters(rank, 3);
  Optimizer optimizer(parameters, rank.groups, {});
  run_updates(parameters, rank, optimizer, 1, 2);
  CheckpointWriter writer({.directory = directory.path("c")}, mesh.world());
  writer.save({.step = 2}, optimizer);
  run_updates(parameters, rank, optimizer, 3, 1);

  std::string said;
  {
    std::optional<FileSizeLimit> limit;
    if (world.rank() == world.size() - 1) limit.emplace(1000);
    try {
      writer.save({.step = 3}, optimizer);
    } catch (const CheckpointError& error) {
      said = error.what();
    }
  }
  EXPECT_NE(said.find(join_text("rank ", world.size() - 1, ": ")), std::string::npos) << said;
  EXPECT_NE(said.find("File too large"), std::string::npos) << said;
  EXPECT_EQ(open_newest_checkpoint(directory.path("c"), mesh.world(), {})->manifest().state.step, 2);
  for (const auto& entry : std::filesystem::directory_iterator(directory.path("c"))) {
    EXPECT_EQ(entry.path().string().find(".tmp-"), std::string::npos) << entry.path();
  }
  mesh.world().barrier();
  writer.save({.step = 3}, optimizer);
  EXPECT_EQ(open_newest_checkpoint(directory.path("c"), mesh.world(), {})->manifest().state.step, 3);
}

}  // namespace
}  // namespace granule
