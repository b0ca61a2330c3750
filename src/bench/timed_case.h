#pragma once
// Small things timed over and over with Google Benchmark, on one rank or on all of them together.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "comm/world.h"

namespace granule {

struct TimedCase {
  std::string name;
  /// Does the thing once; returns the seconds of the part that counts. Collective if there are several ranks.
  std::function<double()> run;
  double flops = 0;        ///< of one run, this rank's; 0: no rate is shown
  double bytes = 0;        ///< of one run, this rank's; 0: no rate is shown
  double flops_limit = 0;  ///< per second; 0: no share is shown
};

struct TimingOptions {
  int64_t iterations = 5;
  int64_t repetitions = 5;
  bool json = false;  ///< Google Benchmark's JSON instead of its table
};

/// Seconds that `body` takes.
double seconds_of(const std::function<void()>& body);

/// Runs each case once untimed and then `iterations` x `repetitions` times, in step on all ranks; rank 0
/// prints mean, median and spread of its own times over the repetitions.
void run_timed_cases(World& world, const std::vector<TimedCase>& cases, const TimingOptions& options);

}  // namespace granule
