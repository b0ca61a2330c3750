#pragma once
// A small run with coded state for tests of checkpoints: made in one layout, read in another, compared by
// name.

#include <ATen/core/Tensor.h>

#include <array>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "optim/optimizer.h"
#include "tests/support/shard_layout.h"
#include "train/checkpoint_writer.h"

namespace granule {

/// Parameter, master and both moments of every piece, whole, whatever the layout.
using NamedState = std::map<std::string, std::array<at::Tensor, 4>>;

/// Puts the slices of all ranks together; a thread a rank.
class StateCollector {
 public:
  void add(const std::vector<PlacedParameter>& parameters, const Optimizer& optimizer);
  const NamedState& state() const { return state_; }

 private:
  std::mutex mutex_;
  NamedState state_;
};

/// Fails unless this rank's parameters, masters and moments are their stretches of `expected`, bit by bit.
void expect_own_state(const std::vector<PlacedParameter>& parameters, const Optimizer& optimizer,
                      const NamedState& expected, const std::string& where);

/// Fails unless both hold the same names and every tensor is equal bit by bit.
void expect_same_state(const NamedState& actual, const NamedState& expected, const std::string& where);

/// Some updates from the coded gradients of steps first, first + 1 ...
void run_updates(const std::vector<PlacedParameter>& parameters, const LayoutRank& rank, Optimizer& optimizer,
                 uint64_t first, int count);

/// Trains `step` updates in the given layout and writes them as the checkpoint of that step; returns the
/// state.
NamedState write_coded_checkpoint(const std::string& directory, int data, int expert, int64_t step,
                                  at::ScalarType dtype = at::kFloat, const CheckpointFiles& files = {},
                                  int64_t most_recent_k = 3);

/// The trainer's numbers of that step, each different.
TrainState coded_train_state(int64_t step);

}  // namespace granule
