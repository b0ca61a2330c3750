#include "train/checkpoint_restore.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "comm/loopback_communicator.h"
#include "tests/support/checkpoint_run.h"
#include "tests/support/temporary_directory.h"

namespace granule {
namespace {

namespace fs = std::filesystem;

// Loads in one layout and, if `save_to` names a directory, writes what was loaded as the next step.
NamedState load_in_layout(const std::string& path, int data, int expert, at::ScalarType dtype,
                          const std::string& save_to = "", int64_t save_step = 0) {
  StateCollector collector;
  run_layout(data, expert, [&](const LayoutRank& rank) {
    const auto parameters = coded_parameters(rank, 99, dtype);
    Optimizer optimizer(parameters, rank.groups, {});
    run_updates(parameters, rank, optimizer, 50, 1);  // whatever was there before must go
    const auto checkpoint = open_newest_checkpoint(path, rank.groups.world, {});
    ASSERT_TRUE(checkpoint.has_value());
    restore_optimizer(*checkpoint, optimizer, rank.groups.world);
    EXPECT_EQ(optimizer.num_updates(), 3);
    collector.add(parameters, optimizer);
    if (save_to.empty()) return;
    CheckpointWriter writer({.directory = save_to}, rank.groups.world);
    writer.save({.step = save_step}, optimizer);
  });
  return collector.state();
}

// The only copy is damaged in its last byte.
void damage(const std::string& path) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(-1, std::ios::end);
  const char last = static_cast<char>(file.get() ^ 1);
  file.seekp(-1, std::ios::end);
  file.put(last);
}

TEST(CheckpointRestore, EveryLayoutReadsEveryOtherTensorByTensor) {
  const std::vector<std::pair<int, int>> layouts = {{2, 2}, {1, 2}, {1, 1}, {4, 1},
                                                    {1, 4}, {3, 1}, {2, 1}, {2, 2}};
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const TemporaryDirectory run;
    const auto expected = write_coded_checkpoint(run.path("0"), 2, 2, 3, dtype);
    for (size_t i = 0; i < layouts.size(); ++i) {
      const auto [data, expert] = layouts[i];
      const auto state = load_in_layout(run.path(std::to_string(i)), data, expert, dtype,
                                        run.path(std::to_string(i + 1)), 3);
      expect_same_state(state, expected, join_text("in layout ", data, " x ", expert));
    }
  }
}

TEST(CheckpointRestore, TrainingGoesOnBitByBit) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const TemporaryDirectory run;
    const auto expected = write_coded_checkpoint(run.path("straight"), 2, 2, 6, dtype);
    write_coded_checkpoint(run.path("stopped"), 2, 2, 3, dtype);
    StateCollector collector;
    run_layout(2, 2, [&](const LayoutRank& rank) {
      const auto parameters = coded_parameters(rank, 99, dtype);
      Optimizer optimizer(parameters, rank.groups, {});
      const auto checkpoint = open_newest_checkpoint(run.path("stopped"), rank.groups.world, {});
      restore_optimizer(*checkpoint, optimizer, rank.groups.world);
      run_updates(parameters, rank, optimizer, 4, 3);
      collector.add(parameters, optimizer);
    });
    expect_same_state(collector.state(), expected, "after 3 + 3 updates");
  }
}

TEST(CheckpointRestore, MomentsGoFromOnePrecisionToAnother) {
  for (const std::string from : {"fp32", "bf16"}) {
    for (const std::string to : {"fp32", "bf16"}) {
      const TemporaryDirectory run;
      run_layout(2, 1, [&](const LayoutRank& rank) {
        const auto parameters = coded_parameters(rank, 3), others = coded_parameters(rank, 99);
        Optimizer saved(parameters, rank.groups, {.moment_precision = from});
        Optimizer loaded(others, rank.groups, {.moment_precision = to});
        run_updates(parameters, rank, saved, 1, 3);
        CheckpointWriter({.directory = run.path()}, rank.groups.world).save({.step = 3}, saved);
        const auto checkpoint = open_newest_checkpoint(run.path(), rank.groups.world, {});
        restore_optimizer(*checkpoint, loaded, rank.groups.world);
        for (size_t i = 0; i < saved.shards().size(); ++i) {
          const auto &before = saved.shards()[i], &after = loaded.shards()[i];
          EXPECT_TRUE(after.master().equal(before.master()));
          EXPECT_TRUE(after.exp_avg.equal(before.exp_avg.to(after.exp_avg.scalar_type()))) << from << to;
          EXPECT_TRUE(after.exp_avg_sq.equal(before.exp_avg_sq.to(after.exp_avg_sq.scalar_type())));
        }
      });
    }
  }
}

TEST(CheckpointRestore, GivesBackWhatTheTrainerRemembers) {
  const TemporaryDirectory run;
  write_coded_checkpoint(run.path("checkpoints"), 2, 1, 4);
  run_layout(1, 1, [&](const LayoutRank& rank) {
    const auto checkpoint = open_newest_checkpoint(run.path(), rank.groups.world, {});
    const auto& state = checkpoint->manifest().state;
    const auto expected = coded_train_state(4);
    EXPECT_EQ(state.step, 4);
    EXPECT_EQ(state.consumed_samples, expected.consumed_samples);
    EXPECT_EQ(state.consumed_tokens, expected.consumed_tokens);
    EXPECT_EQ(state.skipped_steps, expected.skipped_steps);
    EXPECT_EQ(state.seed, expected.seed);
    EXPECT_EQ(state.data_fingerprint, expected.data_fingerprint);
    EXPECT_EQ(checkpoint->manifest().layout.data, 2);
  });
}

TEST(CheckpointRestore, ParametersAloneFillPlainTensors) {
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kDouble}) {
    const TemporaryDirectory run;
    const auto stored = write_coded_checkpoint(run.path("c"), 2, 2, 3, at::kBFloat16);
    run_layout(1, 2, [&](const LayoutRank& rank) {
      const auto parameters = coded_parameters(rank, 99, dtype);
      const auto checkpoint = open_newest_checkpoint(run.path("c"), rank.groups.world, {});
      restore_parameters(*checkpoint, parameters, rank.groups.world);
      for_each_piece(parameters, [&](const ParameterPiece& piece, const at::Tensor& values) {
        EXPECT_TRUE(values.equal(stored.at(piece.name)[1].to(values.scalar_type()))) << piece.name;
      });
    });
  }
}

// Between two bf16 numbers, where ties to even would give another parameter.
TEST(CheckpointRestore, PlainParametersAreRoundedAsInTraining) {
  const TemporaryDirectory run;
  run_layout(1, 1, [&](const LayoutRank& rank) {
    const auto trained = coded_parameters(rank, 3, at::kBFloat16);
    const auto plain = coded_parameters(rank, 99, at::kBFloat16);
    Optimizer optimizer(trained, rank.groups, {});
    for (const auto& shard : optimizer.shards()) {
      shard.set_master(0, at::full({shard.buffer->slice_size()}, 1 + 1.0 / 256, at::kFloat));
    }
    CheckpointWriter({.directory = run.path()}, rank.groups.world).save({.step = 1}, optimizer);
    restore_parameters(*open_newest_checkpoint(run.path(), rank.groups.world, {}), plain, rank.groups.world);
    for (size_t i = 0; i < plain.size(); ++i) {
      const bool rounded = plain[i].tensor.scalar_type() == at::kBFloat16;
      EXPECT_TRUE(plain[i].tensor.equal(trained[i].tensor));
      EXPECT_TRUE(plain[i].tensor.eq(rounded ? 1 + 1.0 / 128 : 1 + 1.0 / 256).all().item<bool>());
    }
  });
}

TEST(CheckpointRestore, MastersAloneStartANewOptimizer) {
  const TemporaryDirectory run;
  const auto stored = write_coded_checkpoint(run.path("c"), 2, 2, 3, at::kBFloat16);
  run_layout(1, 2, [&](const LayoutRank& rank) {
    const auto parameters = coded_parameters(rank, 99, at::kBFloat16);
    Optimizer optimizer(parameters, rank.groups, {});
    run_updates(parameters, rank, optimizer, 50, 1);
    const auto checkpoint = open_newest_checkpoint(run.path("c"), rank.groups.world, {});
    restore_masters(*checkpoint, optimizer, rank.groups.world);
    EXPECT_EQ(optimizer.num_updates(), 0);
    StateCollector mine;
    mine.add(parameters, optimizer);
    for_each_piece(parameters, [&](const ParameterPiece& piece, const at::Tensor& values) {
      EXPECT_TRUE(values.equal(stored.at(piece.name)[0])) << piece.name;
    });
    for (const auto& shard : optimizer.shards()) {
      EXPECT_EQ(shard.exp_avg.abs().max().item<float>(), 0);
      EXPECT_EQ(shard.exp_avg_sq.abs().max().item<float>(), 0);
    }
  });
}

TEST(CheckpointRestore, ADamagedCheckpointIsSetAsideAndTheOneBeforeIsTaken) {
  for (const char* file : {"rank-00003.safetensors", "manifest.json", "config.yaml"}) {
    const TemporaryDirectory run;
    const auto directory = run.path("c");
    write_coded_checkpoint(directory, 2, 2, 2);
    write_coded_checkpoint(directory, 2, 2, 3);
    damage(directory + "/step-0000003/" + file);
    run_layout(2, 1, [&](const LayoutRank& rank) {
      const auto checkpoint = open_newest_checkpoint(directory, rank.groups.world, {.mark_bad = true});
      EXPECT_EQ(checkpoint->manifest().state.step, 2);
    });
    EXPECT_TRUE(fs::exists(directory + "/step-0000003.bad/" + file));
    EXPECT_FALSE(fs::exists(directory + "/step-0000003"));
  }
}

// How often two ranks met for one another while they hashed.
int64_t num_meetings(const std::string& path, uint64_t round_bytes) {
  const auto hub = std::make_shared<LoopbackHub>(2);
  const auto log = std::make_shared<CollectiveLog>();
  const auto open = [&](int rank) {
    LoopbackCommunicator world("world", rank, 2, hub, rank == 0 ? log : std::make_shared<CollectiveLog>());
    EXPECT_EQ(open_newest_checkpoint(path, world, {.verify_round_bytes = round_bytes})->manifest().state.step,
              2);
  };
  std::thread other(open, 1);
  open(0);
  other.join();
  const auto finished = log->finished();
  return std::count_if(finished.begin(), finished.end(),
                       [](const CollectiveRecord& record) { return record.verb == "all_reduce_max"; });
}

TEST(CheckpointRestore, RanksThatHashLongFilesMeetAgainAndAgain) {
  const TemporaryDirectory run;
  const auto directory = run.path("c");
  write_coded_checkpoint(directory, 2, 2, 2);  // four shards and a config: rank 0 reads three of them
  EXPECT_EQ(num_meetings(directory, uint64_t{1} << 28), 1);
  EXPECT_EQ(num_meetings(directory, 1), 4);
  // Whoever finds damage reads the file again to name the tensor, and meets the other no less.
  for (const char* file : {"rank-00002.safetensors", "rank-00003.safetensors"}) {
    write_coded_checkpoint(directory, 2, 2, 3);
    damage(directory + "/step-0000003/" + file);
    EXPECT_GT(num_meetings(directory, 1), 2 * 4) << file;
    fs::remove_all(directory + "/step-0000003");
  }
}

TEST(CheckpointRestore, ADamagedCheckpointThatCannotBeSetAsideEndsTheJob) {
  const TemporaryDirectory run;
  const auto directory = run.path("c");
  write_coded_checkpoint(directory, 1, 1, 2);
  write_coded_checkpoint(directory, 1, 1, 3);
  damage(directory + "/step-0000003/config.yaml");
  fs::create_symlink("nowhere",
                     directory + "/step-0000003.bad");  // its name is taken, though nothing is there
  std::atomic<int> num_errors = 0;
  run_layout(2, 1, [&](const LayoutRank& rank) {
    try {
      open_newest_checkpoint(directory, rank.groups.world, {.mark_bad = true});
    } catch (const InputError& error) {
      EXPECT_NE(std::string(error.what()).find("cannot be set aside"), std::string::npos) << error.what();
      ++num_errors;
    }
  });
  EXPECT_EQ(num_errors, 2);
}

TEST(CheckpointRestore, ForeignCheckpointsAreNotRenamed) {
  const TemporaryDirectory run;
  write_coded_checkpoint(run.path("c"), 1, 1, 2);
  write_coded_checkpoint(run.path("c"), 1, 1, 3);
  damage(run.path("c/step-0000003/config.yaml"));
  run_layout(1, 1, [&](const LayoutRank& rank) {
    EXPECT_EQ(open_newest_checkpoint(run.path("c"), rank.groups.world, {})->manifest().state.step, 2);
    // Asked for by name there is nothing to fall back to.
    EXPECT_THROW(open_newest_checkpoint(run.path("c/step-0000003"), rank.groups.world, {}), InputError);
  });
  EXPECT_TRUE(fs::exists(run.path("c/step-0000003")));
}

TEST(CheckpointRestore, WithNothingUsableAllThatWasTriedIsListed) {
  const TemporaryDirectory run;
  write_coded_checkpoint(run.path("c"), 2, 1, 2);
  write_coded_checkpoint(run.path("c"), 2, 1, 3);
  damage(run.path("c/step-0000002/rank-00001.safetensors"));
  damage(run.path("c/step-0000003/manifest.json"));
  std::atomic<int> num_errors = 0;
  run_layout(2, 1, [&](const LayoutRank& rank) {
    try {
      open_newest_checkpoint(run.path("c"), rank.groups.world, {.mark_bad = true});
    } catch (const InputError& error) {
      const std::string text = error.what();
      EXPECT_NE(text.find("step-0000002/rank-00001.safetensors"), std::string::npos) << text;
      EXPECT_NE(text.find("step-0000003/manifest.json"), std::string::npos) << text;
      ++num_errors;
    }
  });
  EXPECT_EQ(num_errors, 2);
  // Set aside, the next start would begin anew and write over what may still be mended.
  EXPECT_TRUE(fs::exists(run.path("c/step-0000002")) && fs::exists(run.path("c/step-0000003")));
}

TEST(CheckpointRestore, WhatTheSystemRefusesToReadIsNoDamage) {
  const TemporaryDirectory run;
  write_coded_checkpoint(run.path("c"), 2, 1, 2);
  write_coded_checkpoint(run.path("c"), 2, 1, 3);
  const auto shard = run.path("c/step-0000003/rank-00001.safetensors");
  fs::rename(shard, run.path("shard"));
  fs::create_symlink(shard, shard);  // a link to itself cannot be opened: ELOOP
  run_layout(2, 1, [&](const LayoutRank& rank) {
    const auto open = [&] {
      return open_newest_checkpoint(run.path("c"), rank.groups.world, {.mark_bad = true});
    };
    EXPECT_THROW(open(), InputError);
    rank.groups.world.barrier();
    if (rank.groups.world.rank() == 0) fs::rename(run.path("shard"), shard);
    rank.groups.world.barrier();
    EXPECT_EQ(open()->manifest().state.step, 3);
  });
}

TEST(CheckpointRestore, NoCheckpointAtAllIsNoError) {
  const TemporaryDirectory run;
  run_layout(2, 1, [&](const LayoutRank& rank) {
    EXPECT_FALSE(open_newest_checkpoint(run.path(), rank.groups.world, {}).has_value());
    EXPECT_FALSE(open_newest_checkpoint(run.path("none"), rank.groups.world, {}).has_value());
  });
}

TEST(CheckpointRestore, AnotherModelIsRefusedOnAllRanks) {
  const TemporaryDirectory run;
  write_coded_checkpoint(run.path("c"), 1, 1, 2);
  const auto error_with = [&](const std::function<void(std::vector<PlacedParameter>&)>& change) {
    std::mutex mutex;
    std::vector<std::string> errors;
    run_layout(2, 2, [&](const LayoutRank& rank) {
      auto parameters = coded_parameters(rank, 3);
      change(parameters);
      Optimizer optimizer(parameters, rank.groups, {});
      const auto checkpoint = open_newest_checkpoint(run.path("c"), rank.groups.world, {});
      try {
        restore_optimizer(*checkpoint, optimizer, rank.groups.world);
      } catch (const InputError& error) {
        const std::lock_guard lock(mutex);
        errors.push_back(error.what());
      }
    });
    EXPECT_EQ(errors.size(), 4u);
    return errors.empty() ? "" : errors.front();
  };
  EXPECT_NE(
      error_with([](auto& parameters) { parameters[3].pieces[0].name = "tail"; }).find("no parameter tail"),
      std::string::npos);
  EXPECT_NE(error_with([](auto& parameters) { parameters.erase(parameters.begin() + 1); }).find("holds norm"),
            std::string::npos);
  EXPECT_NE(error_with([](auto& parameters) {
              parameters[0].pieces[0].shape = {7, 13};
            }).find("shape"),
            std::string::npos);
}

}  // namespace
}  // namespace granule
