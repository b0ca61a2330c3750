#pragma once
// Batches for training small_config() for a few steps.

#include "data/batch.h"

namespace granule {

inline constexpr int64_t kSmallRows = 8, kSmallLength = 6;

/// Rows [first, first + count) of the kSmallRows of a step's global batch. `with_padding`: the first is
/// packed, the last is padding but for one token, so that a rank may have next to nothing.
Batch small_batch(int64_t step, int64_t first, int64_t count, bool with_padding);

}  // namespace granule
