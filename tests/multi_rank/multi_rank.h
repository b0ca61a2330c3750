#pragma once
// Tests that run on all ranks of mpirun at once: each rank runs every test, so a TEST body is the same
// program with another rank. A rank that skips or leaves a test early while others communicate shows up as a
// named hang. Rank 0 prints and writes --gtest_output; a failure on another rank is printed there and fails
// rank 0's test. Flags besides GoogleTest's: --hang_seconds=N, --with_misbehaviour.

#include "comm/world.h"

namespace granule {

/// The world of this program.
World& multi_rank_world();

/// Adds the suite Misbehaviour: ranks that fail, throw, stop or stay away, for tests of this harness and of
/// run_in_world from outside.
void register_misbehaviour();

}  // namespace granule
