#pragma once
// How fast a config trains here: whole steps on random tokens, timed phase by phase.

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "bench/machine_limits.h"
#include "bench/phase_timer.h"
#include "bench/phase_work.h"
#include "comm/world.h"
#include "train/run_config.h"
#include "train/step.h"

namespace granule {

struct StepBenchmark {
  int64_t num_parameters = 0;
  int64_t tokens_per_step = 0;            ///< over all ranks
  double flops_per_token = 0;             ///< model/model_size: activated parameters, causal attention once
  std::vector<double> seconds;            ///< of each timed step, the slowest rank
  std::vector<StepTimes> times;           ///< of each timed step, this rank
  std::vector<PhaseSeconds> phases;       ///< of each timed step, this rank
  std::map<std::string, PhaseWork> work;  ///< of a step, this rank's share
  MachineLimits limits;                   ///< of this rank while the others measure too
  bool bf16 = false;                      ///< which limit the products have
  std::vector<double> losses;             ///< of all steps, the untimed first ones among them
  double peak_rss_bytes = 0;              ///< largest resident size of a rank so far

  double median_seconds() const;
  /// Median of one phase over the timed steps.
  double median_of(double StepTimes::*phase) const;
  /// Median of every named phase, in order of time; "rest" is what no name covers.
  std::vector<std::pair<std::string, double>> median_phases() const;
};

/// Runs `warm_up` untimed and `steps` timed steps of `config`, which has been checked. Collective over the
/// world.
StepBenchmark benchmark_step(World& world, const RunConfig& config, int64_t warm_up, int64_t steps);

}  // namespace granule
