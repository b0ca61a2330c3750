#pragma once
// Bytes that a rank sends in a step, for the busiest stage. The router is taken as even.

#include "train/plan_memory.h"

namespace granule {

struct StepTraffic {
  double all_to_all = 0;     ///< rows to experts and back, forward and backward, once more if recomputed
  double data_parallel = 0;  ///< fp32 gradients reduce-scattered, parameters gathered
  double pipeline = 0;       ///< hidden states forward and their gradients back
  /// Part of `all_to_all` that would remain if a token went once to each rank that holds experts of it.
  double once_per_rank = 1;
};

/// `size` is that of the whole model.
StepTraffic step_traffic(const RunConfig& config, const ModelSize& size, const PlanLayout& layout);

/// Bytes a rank sends to sum its gradients and gather its parameters.
double data_parallel_bytes(const RankParameters& parameters, const Replication& replication,
                           int64_t element_bytes);

/// Of K rows that a token sends, the share left when rows to the same of `ranks` ranks are sent once; E
/// experts spread evenly, K of them chosen at random.
double once_per_rank_share(int64_t experts, int64_t chosen, int64_t ranks);

}  // namespace granule
