#pragma once
// The share of time that a job makes progress although ranks fail, after Young: a save every T seconds stalls
// w, a failure comes every M seconds, costs T/2 of work and R seconds of restart. Seconds throughout.

namespace granule {

struct FailureModel {
  double save_stall = 0;        ///< w
  double between_failures = 1;  ///< M, of the whole job
  double restart = 0;           ///< R
};

/// 1 - w/T - T/(2M) - R/M, not below 0.
double goodput(const FailureModel& failures, double save_interval);

/// sqrt(2 w M), the interval of the best goodput.
double best_save_interval(const FailureModel& failures);

}  // namespace granule
