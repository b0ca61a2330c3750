#pragma once
// Every verb of a communicator against plain loops, for any backend: called by all ranks of a group alike.

#include <ATen/core/Tensor.h>

#include "comm/communicator.h"

namespace granule {

/// What rank `rank` brings: n values that differ by rank and place, and whose sum depends on the order of
/// ranks.
at::Tensor contribution(int rank, int64_t n, at::ScalarType dtype);

void expect_reductions_like_loops(Communicator& group);
void expect_gathers_like_loops(Communicator& group);
void expect_exchanges_like_loops(Communicator& group);
void expect_broadcasts_from_every_root(Communicator& group);
void expect_bytes_gathered(Communicator& group);

/// Sizes that make sums of `group` go in several pieces with a rest.
void expect_large_reductions_like_loops(Communicator& group);

/// all_to_all_rows and its gradient, fp32, fp64 and bf16, ragged and with ranks that send or receive nothing.
void expect_row_gradients_travel_back(Communicator& group);

}  // namespace granule
