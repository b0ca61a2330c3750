#pragma once
// The collectives of training, and what an MoE layer sends, against MPI's own all-to-all and a copy in
// memory.

#include <cstdint>
#include <vector>

#include "bench/timed_case.h"

namespace granule {

struct CommShape {
  int64_t tokens = 2048;  ///< T, of a rank
  int64_t hidden_size = 256;
  int64_t n_routed_experts = 64;
  int64_t num_experts_per_tok = 7;
  int64_t elements =
      1 << 22;  ///< fp32 values in the sums and gatherings, rounded up to a multiple of the ranks
  bool bf16 = false;
};

/// Throws ConfigError for more experts a token than there are, or experts that cannot be spread over the
/// ranks. Collective over the world.
std::vector<TimedCase> comm_cases(World& world, const CommShape& shape);

}  // namespace granule
