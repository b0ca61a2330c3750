#pragma once
// Whether a run can go on from a checkpoint, and whether it goes on as if it had never stopped.

#include <cstdint>
#include <string>

#include "train/checkpoint.h"
#include "train/run_config.h"

namespace granule {

/// The run as it starts now.
struct ResumedRun {
  const RunConfig& config;
  int64_t train_iters;        ///< steps of the whole run
  uint64_t data_fingerprint;  ///< of its training data
};

/// Throws ConfigError for fewer steps than were done, another batch in a run of epochs, a model that computes
/// something else, other adapters. Returns a warning if data come in another order or nobody can tell, else
/// nothing.
std::string check_resume(const ResumedRun& run, const Checkpoint& checkpoint);

}  // namespace granule
