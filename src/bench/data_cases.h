#pragma once
// How fast the batches of a config can be read.

#include <vector>

#include "bench/timed_case.h"
#include "train/run_config.h"

namespace granule {

/// Reading this rank's rows of one batch after the other, without prefetching. Throws what
/// open_training_source does.
std::vector<TimedCase> data_cases(World& world, const RunConfig& config);

}  // namespace granule
