#include "tests/support/checkpoint_run.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace granule {

namespace {
constexpr std::array kStateNames = {"parameter", "master", "exp_avg", "exp_avg_sq"};
}  // namespace

void StateCollector::add(const std::vector<PlacedParameter>& parameters, const Optimizer& optimizer) {
  const std::lock_guard lock(mutex_);
  const auto make = [&](const std::string& name, int64_t count,
                        at::ScalarType dtype) -> std::array<at::Tensor, 4>& {
    auto& tensors = state_[name];
    if (!tensors[1].defined()) {
      tensors[0] = at::full({count}, -77, dtype);
      for (size_t i = 1; i < 4; ++i) tensors[i] = at::full({count}, -77, at::kFloat);
    }
    return tensors;
  };
  for_each_piece(parameters, [&](const ParameterPiece& piece, const at::Tensor& values) {
    make(piece.name, values.numel(), values.scalar_type())[0].copy_(values);
  });
  for (const auto& shard : optimizer.shards()) {
    for (const auto& segment : shard.buffer->own_segments()) {
      auto& tensors =
          make(segment.piece->name, c10::multiply_integers(segment.piece->shape), shard.buffer->dtype());
      const auto begin = segment.flat_begin - shard.buffer->slice_begin();
      const at::Tensor sources[] = {shard.master(), shard.exp_avg, shard.exp_avg_sq};
      for (size_t i = 0; i < 3; ++i) {
        tensors[i + 1]
            .narrow(0, segment.piece_begin, segment.count)
            .copy_(sources[i].narrow(0, begin, segment.count));
      }
    }
  }
}

void expect_own_state(const std::vector<PlacedParameter>& parameters, const Optimizer& optimizer,
                      const NamedState& expected, const std::string& where) {
  for_each_piece(parameters, [&](const ParameterPiece& piece, const at::Tensor& values) {
    EXPECT_TRUE(values.equal(expected.at(piece.name)[0])) << piece.name << " " << where;
  });
  for (const auto& shard : optimizer.shards()) {
    const at::Tensor own[] = {shard.master(), shard.exp_avg, shard.exp_avg_sq};
    for (const auto& segment : shard.buffer->own_segments()) {
      const auto begin = segment.flat_begin - shard.buffer->slice_begin();
      for (size_t i = 0; i < 3; ++i) {
        const auto& whole = expected.at(segment.piece->name)[i + 1];
        EXPECT_TRUE(
            own[i].narrow(0, begin, segment.count).equal(whole.narrow(0, segment.piece_begin, segment.count)))
            << kStateNames[i + 1] << " of " << segment.piece->name << " " << where;
      }
    }
  }
}

void expect_same_state(const NamedState& actual, const NamedState& expected, const std::string& where) {
  ASSERT_EQ(actual.size(), expected.size()) << where;
  for (const auto& [name, tensors] : expected) {
    ASSERT_TRUE(actual.contains(name)) << name << " " << where;
    for (size_t i = 0; i < tensors.size(); ++i) {
      EXPECT_TRUE(actual.at(name)[i].equal(tensors[i])) << kStateNames[i] << " of " << name << " " << where;
    }
  }
}

void run_updates(const std::vector<PlacedParameter>& parameters, const LayoutRank& rank, Optimizer& optimizer,
                 uint64_t first, int count) {
  for (uint64_t step = first; step < first + static_cast<uint64_t>(count); ++step) {
    optimizer.zero_gradients();
    write_coded_gradients(parameters, rank, step);
    optimizer.reduce_gradients();
    optimizer.apply(0.01);
  }
}

TrainState coded_train_state(int64_t step) {
  return {.step = step,
          .consumed_samples = 32 * step,
          .consumed_tokens = 1000 * step + 7,
          .skipped_steps = 2,
          .seed = 1234,
          .data_fingerprint = 77};
}

NamedState write_coded_checkpoint(const std::string& directory, int data, int expert, int64_t step,
                                  at::ScalarType dtype, const CheckpointFiles& files, int64_t most_recent_k) {
  StateCollector collector;
  run_layout(data, expert, [&](const LayoutRank& rank) {
    const auto parameters = coded_parameters(rank, 3, dtype);
    Optimizer optimizer(parameters, rank.groups, {});
    run_updates(parameters, rank, optimizer, 1, static_cast<int>(step));
    collector.add(parameters, optimizer);
    CheckpointWriter writer({.directory = directory,
                             .most_recent_k = most_recent_k,
                             .layout = {.data = data, .expert = expert},
                             .config_text = "run_dir: x\n"},
                            rank.groups.world, files);
    writer.save(coded_train_state(step), optimizer);
  });
  return collector.state();
}

}  // namespace granule
