#pragma once
// From a checkpoint, or values from elsewhere, to a run in whatever layout. All ranks take the same
// checkpoint; a damaged one is named, set aside and the one before is taken.

#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "comm/placement.h"
#include "optim/optimizer.h"
#include "train/checkpoint.h"

namespace granule {

struct CheckpointChoice {
  bool verify = true;     ///< hash every file, shared among the ranks
  bool mark_bad = false;  ///< rename damaged ones to *.bad: for a run's own checkpoints
  /// Ranks meet whenever one has hashed so many bytes: who waits for a slow file's reader is not hanging.
  uint64_t verify_round_bytes = uint64_t{1} << 28;
};

/// The newest usable checkpoint at `path` (a checkpoint, a directory of them, or a run directory): the same
/// one on all ranks. Each one that is damaged is warned of; nothing if there is none at all. Throws
/// InputError listing what was tried if none of them can be used, or if a damaged one cannot be renamed.
/// Collective.
std::optional<Checkpoint> open_newest_checkpoint(const std::string& path, Communicator& world,
                                                 const CheckpointChoice& choice);

/// All of a run's state: masters, moments (zeros if the checkpoint has none), number of updates; parameters
/// follow. Throws InputError on all ranks if names or shapes are not those of the checkpoint. Collective.
void restore_optimizer(const Checkpoint& checkpoint, Optimizer& optimizer, Communicator& world);

/// Only values: masters and parameters; moments zero, no update done yet. For fine-tuning.
void restore_masters(const ParameterSource& source, Optimizer& optimizer, Communicator& world);

/// Only values, into plain tensors that no optimizer holds. For evaluation and generation.
void restore_parameters(const ParameterSource& source, const std::vector<PlacedParameter>& parameters,
                        Communicator& world);

}  // namespace granule
