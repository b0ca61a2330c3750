#pragma once
// How long a step and a run take on given hardware. Exchanges are not overlapped with computation, as in the
// program; the time of the AdamW update, and what small products cost beyond `achieved_fraction`, are left
// out.

#include "train/plan_cost.h"
#include "train/plan_goodput.h"
#include "train/plan_hardware.h"
#include "train/plan_traffic.h"

namespace granule {

/// Seconds of one step.
struct StepTime {
  double compute = 0;  ///< with recomputation
  double all_to_all = 0;
  double data_parallel = 0;
  double pipeline = 0;  ///< hidden states between stages
  double bubble = 0;    ///< stages that wait for longer ones, and while the pipeline fills and drains

  double total() const { return compute + all_to_all + data_parallel + pipeline + bubble; }
};

StepTime step_time(const RunConfig& config, const ModelCost& cost, const PlanLayout& layout,
                   const StepTraffic& traffic, const HardwareConfig& hardware);

/// The whole run, failures included.
struct RunTime {
  FailureModel failures;
  double save_interval = 0;       ///< of checkpoint.save_interval, seconds; 0: saves only at the end
  double best_save_interval = 0;  ///< seconds
  double goodput = 1;             ///< with save_interval
  double best_goodput = 1;        ///< with best_save_interval
  double seconds = 0;             ///< with best_goodput
  double rank_hours = 0;
};

RunTime run_time(const RunConfig& config, const ModelSize& size, const PlanLayout& layout,
                 double step_seconds, const HardwareConfig& hardware);

}  // namespace granule
