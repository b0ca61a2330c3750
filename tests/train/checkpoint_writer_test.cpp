#include "train/checkpoint_writer.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <mutex>
#include <set>

#include "tests/support/checkpoint_run.h"
#include "tests/support/child_process.h"
#include "tests/support/temporary_directory.h"
#include "train/checkpoint_directory.h"
#include "train/checkpoint_restore.h"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Names = std::set<std::string>;

Names names_in(const std::string& path) {
  Names names;
  for (const auto& entry : fs::directory_iterator(path)) names.insert(entry.path().filename());
  return names;
}

struct Loaded {
  int64_t step = -1;
  NamedState state;
};

// The newest checkpoint, read by one rank.
Loaded load_newest(const std::string& directory, at::ScalarType dtype = at::kFloat) {
  Loaded loaded;
  StateCollector collector;
  run_layout(1, 1, [&](const LayoutRank& rank) {
    const auto parameters = coded_parameters(rank, 99, dtype);
    Optimizer optimizer(parameters, rank.groups, {});
    const auto checkpoint = open_newest_checkpoint(directory, rank.groups.world, {.mark_bad = true});
    if (!checkpoint) return;
    loaded.step = checkpoint->manifest().state.step;
    restore_optimizer(*checkpoint, optimizer, rank.groups.world);
    collector.add(parameters, optimizer);
  });
  loaded.state = collector.state();
  return loaded;
}

// Operations of one save, numbered over all ranks; `act` is called at number `wanted`. Of the many writes
// into shards every 16th counts.
CheckpointFiles at_operation(int wanted, std::function<void(std::string_view, const std::string&)> act) {
  struct Counter {
    std::mutex mutex;
    int writes = 0;
    int operations = 0;
  };
  return CheckpointFiles(
      [=, counter = std::make_shared<Counter>()](std::string_view operation, const std::string& path) {
        bool is_wanted = false;
        {
          const std::lock_guard lock(counter->mutex);
          if (operation == "write" && path.ends_with(".safetensors") && counter->writes++ % 16 != 0) return;
          is_wanted = counter->operations++ == wanted;
        }
        if (is_wanted) act(operation, path);
      });
}

TEST(CheckpointWriter, WritesWhatTheManifestSaysAndKeepsTheLast) {
  const TemporaryDirectory run;
  const auto directory = run.path("checkpoints");
  for (const int64_t step : {1, 2, 3, 4}) write_coded_checkpoint(directory, 2, 2, step, at::kFloat, {}, 2);
  EXPECT_EQ(names_in(directory), (Names{"latest", "step-0000003", "step-0000004"}));
  EXPECT_EQ(read_text_file(directory + "/latest", 100), "step-0000004\n");
  EXPECT_EQ(names_in(directory + "/step-0000004"),
            (Names{"config.yaml", "manifest.json", "rank-00000.safetensors", "rank-00001.safetensors",
                   "rank-00002.safetensors", "rank-00003.safetensors"}));
  EXPECT_EQ(read_text_file(directory + "/step-0000004/config.yaml", 100), "run_dir: x\n");
}

TEST(CheckpointWriter, KeepsAllWhileStepsAreSkipped) {
  const TemporaryDirectory run;
  run_layout(1, 1, [&](const LayoutRank& rank) {
    Optimizer optimizer(coded_parameters(rank, 3), rank.groups, {});
    CheckpointWriter writer({.directory = run.path("c"), .most_recent_k = 1}, rank.groups.world);
    writer.save({.step = 5}, optimizer);
    writer.save({.step = 6, .skipped_in_a_row = 1}, optimizer);
    EXPECT_EQ(names_in(run.path("c")), (Names{"latest", "step-0000005", "step-0000006"}));
    writer.save({.step = 7}, optimizer);
    EXPECT_EQ(names_in(run.path("c")), (Names{"latest", "step-0000007"}));
  });
}

TEST(CheckpointWriter, CopiesTheTokenizer) {
  const TemporaryDirectory run;
  write_text_file_durably(run.path("tok.json"), "{\"model\":1}");
  run_layout(1, 1, [&](const LayoutRank& rank) {
    Optimizer optimizer(coded_parameters(rank, 3), rank.groups, {});
    CheckpointWriter writer({.directory = run.path("c"), .tokenizer_path = run.path("tok.json")},
                            rank.groups.world);
    writer.save({.step = 5}, optimizer);
  });
  EXPECT_EQ(read_text_file(run.path("c/step-0000005/tokenizer.json"), 100), "{\"model\":1}");
}

TEST(CheckpointWriter, CopiesWhatLiesBesideATokenizerThatIsNotThere) {
  const TemporaryDirectory run;
  write_text_file_durably(run.path("tokenizer.model"), "pieces");
  run_layout(1, 1, [&](const LayoutRank& rank) {
    Optimizer optimizer(coded_parameters(rank, 3), rank.groups, {});
    CheckpointWriter writer({.directory = run.path("c"), .tokenizer_path = run.path("tokenizer.json")},
                            rank.groups.world);
    writer.save({.step = 5}, optimizer);
  });
  EXPECT_EQ(names_in(run.path("c/step-0000005")),
            (Names{"config.yaml", "manifest.json", "rank-00000.safetensors", "tokenizer.model"}));
}

TEST(CheckpointWriter, NeverReplacesACheckpointOfTheSameStep) {
  const TemporaryDirectory run;
  const auto directory = run.path("c");
  const auto expected = write_coded_checkpoint(directory, 1, 1, 2);
  EXPECT_THROW(write_coded_checkpoint(directory, 2, 1, 2), CheckpointError);
  EXPECT_EQ(names_in(directory), (Names{"latest", "step-0000002"}));
  expect_same_state(load_newest(directory).state, expected, "after the second attempt");
}

// SIGKILL before every operation of a save, prune included.
TEST(CheckpointWriter, KilledAnywhereTheNewestCompleteCheckpointLoadsBitByBit) {
  const TemporaryDirectory run;
  const auto pristine = run.path("pristine");
  const auto older = write_coded_checkpoint(pristine, 1, 2, 2);
  const auto newer = write_coded_checkpoint(run.path("other"), 1, 2, 3);
  std::set<int64_t> loaded_steps;
  bool finished = false;
  for (int operation = 0; !finished; ++operation) {
    const auto directory = run.path("c");
    fs::remove_all(directory);
    fs::copy(pristine, directory, fs::copy_options::recursive);
    const int status = run_in_child([&] {
      const auto die = [](std::string_view, const std::string&) { kill(getpid(), SIGKILL); };
      const auto files = at_operation(operation, die);
      write_coded_checkpoint(directory, 1, 2, 3, at::kFloat, files, /*most_recent_k=*/1);
    });
    finished = WIFEXITED(status);
    ASSERT_TRUE(finished ? WEXITSTATUS(status) == 0 : WTERMSIG(status) == SIGKILL) << operation;

    const auto where = join_text("after a kill at operation ", operation);
    const bool committed = fs::exists(directory + "/step-0000003");
    const auto loaded = load_newest(directory);
    ASSERT_EQ(loaded.step, committed ? 3 : 2) << where;
    expect_same_state(loaded.state, committed ? newer : older, where);
    loaded_steps.insert(loaded.step);

    write_coded_checkpoint(directory, 2, 1, 4, at::kFloat, {}, 1);
    EXPECT_EQ(names_in(directory), (Names{"latest", "step-0000004"})) << where;
  }
  EXPECT_EQ(loaded_steps, (std::set<int64_t>{2, 3}));
}

// One operation of some rank fails as on a full disk.
TEST(CheckpointWriter, AFailureOfOneRankIsSeenByAllAndThePreviousOneStays) {
  const TemporaryDirectory run;
  const auto pristine = run.path("pristine");
  const auto older = write_coded_checkpoint(pristine, 2, 2, 2);
  const auto newer = write_coded_checkpoint(run.path("other"), 2, 2, 3);
  int num_failed = 0;
  bool finished = false;
  for (int operation = 0; !finished; ++operation) {
    const auto directory = run.path("c");
    fs::remove_all(directory);
    fs::copy(pristine, directory, fs::copy_options::recursive);
    std::string failed_path, failed_operation;
    const auto files = at_operation(operation, [&](std::string_view what, const std::string& path) {
      failed_operation = what;
      failed_path = path;
      throw OutputError(path, std::string(what), ENOSPC);
    });
    std::mutex mutex;
    std::multiset<std::string> errors;
    run_layout(2, 2, [&](const LayoutRank& rank) {
      const auto parameters = coded_parameters(rank, 3);
      Optimizer optimizer(parameters, rank.groups, {});
      run_updates(parameters, rank, optimizer, 1, 3);
      try {
        CheckpointWriter writer({.directory = directory, .most_recent_k = 1}, rank.groups.world, files);
        writer.save({.step = 3}, optimizer);
      } catch (const CheckpointError& error) {
        const std::lock_guard lock(mutex);
        errors.insert(error.what());
      }
    });
    finished = failed_path.empty();
    const auto where = join_text("after ", failed_operation, " of ", failed_path, " failed");
    if (!errors.empty()) {
      ++num_failed;
      EXPECT_EQ(errors.count(*errors.begin()), 4u) << where;
      EXPECT_NE(errors.begin()->find(failed_path), std::string::npos) << *errors.begin();
      EXPECT_NE(errors.begin()->find("No space left"), std::string::npos) << *errors.begin();
      EXPECT_NE(errors.begin()->find("rank "), std::string::npos) << *errors.begin();
    }
    for (const auto& name : names_in(directory)) {
      EXPECT_TRUE(name.find(".tmp-") == std::string::npos || errors.empty()) << name << " " << where;
    }
    const bool committed = fs::exists(directory + "/step-0000003");
    EXPECT_TRUE(committed || !errors.empty()) << where;
    const auto loaded = load_newest(directory);
    EXPECT_EQ(loaded.step, committed ? 3 : 2) << where;
    expect_same_state(loaded.state, committed ? newer : older, where);
  }
  EXPECT_GT(num_failed, 20);
}

// The kernel's own refusal: files of this process may not grow beyond some bytes.
TEST(CheckpointWriter, ARealShortWriteIsAnError) {
  const TemporaryDirectory run;
  const auto directory = run.path("c");
  write_coded_checkpoint(directory, 1, 1, 2);
  const int status = run_in_child([&] {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1000, 1000};
    setrlimit(RLIMIT_FSIZE, &limit);
    try {
      write_coded_checkpoint(directory, 2, 1, 3);
    } catch (const CheckpointError& error) {
      _exit(std::string(error.what()).find("File too large") != std::string::npos ? 7 : 8);
    }
  });
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 7);
  EXPECT_EQ(names_in(directory), (Names{"latest", "step-0000002"}));
  EXPECT_EQ(load_newest(directory).step, 2);
}

TEST(CheckpointWriter, ADirectoryThatCannotBeMadeIsAnErrorOnAllRanks) {
  const TemporaryDirectory run;
  std::atomic<int> num_errors = 0;
  run_layout(2, 1, [&](const LayoutRank& rank) {
    try {
      CheckpointWriter writer({.directory = run.path("missing/c")}, rank.groups.world);
    } catch (const CheckpointError&) {
      ++num_errors;
    }
  });
  EXPECT_EQ(num_errors, 2);
}

}  // namespace
}  // namespace granule
