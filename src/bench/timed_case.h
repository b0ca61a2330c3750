#pragma once
// Small things timed over and over with Google Benchmark, on one rank or on all of them together.

#include <ATen/core/Tensor.h>

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

/// Seconds that `body` takes, also what it leaves `device` to do.
double seconds_of(const std::function<void()>& body, at::Device device = at::kCPU);

/// Of one value at least.
double median(std::vector<double> values);

/// Adds the cases "NAME/forward" and "NAME/backward" of `forward`, which runs on the device of `gradient`,
/// that of its result; `leaves` begin each backward pass without gradients of an earlier one. `flops` are
/// those of a forward pass.
void add_differentiable_cases(std::vector<TimedCase>& cases, const std::string& name,
                              const std::function<at::Tensor()>& forward, const at::Tensor& gradient,
                              const std::vector<at::Tensor>& leaves, double flops, double flops_limit);

/// Runs each case once untimed and then `iterations` x `repetitions` times, in step on all ranks; rank 0
/// prints mean, median and spread of its own times over the repetitions.
void run_timed_cases(World& world, const std::vector<TimedCase>& cases, const TimingOptions& options);

}  // namespace granule
