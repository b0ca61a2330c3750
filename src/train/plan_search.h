#pragma once
// All layouts of a config on so many ranks: which can run, fastest first, and why the others cannot.

#include "train/plan.h"

namespace granule {

struct PlanSearch {
  std::vector<Plan> feasible;    ///< by time of a step, then by memory
  std::vector<Plan> infeasible;  ///< in order of layout; each has its `fault`
};

/// Stages (all numbers that divide `ranks`, or `pipeline` alone if above 0) and expert ranks that divide
/// `ranks`, micro-batches of 1, 2, 4 and 8 sequences, with and without recomputation. Where stages and expert
/// ranks alone are at fault, the layout is listed once; where the smallest micro-batch finds no memory,
/// larger ones are left out.
PlanSearch search_layouts(const RunConfig& config, int64_t ranks, const HardwareConfig& hardware,
                          int64_t pipeline = 0);

}  // namespace granule
