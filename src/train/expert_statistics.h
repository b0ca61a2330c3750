#pragma once
// How evenly one layer's router used its experts, from counts summed over micro-batches and ranks.

#include <cstdint>
#include <span>

namespace granule {

struct ExpertStatistics {
  double load_imbalance = 0;    ///< busiest expert / mean expert, in [1, E]; 0 if no token was routed
  double max_violation = 0;     ///< (busiest - mean) / mean, in [0, E - 1] (MaxVio of arXiv 2408.15664)
  double entropy = 0;           ///< nats, mean over tokens, of the router's distribution; at most ln E
  double dropped_fraction = 0;  ///< of all choices, those their expert had no room for
};

/// `count_E`: tokens each expert took; `num_dropped`: choices that found no room; `entropy_sum`: over
/// `num_tokens`.
ExpertStatistics expert_statistics(std::span<const int64_t> count_E, int64_t num_dropped, double entropy_sum,
                                   int64_t num_tokens);

}  // namespace granule
