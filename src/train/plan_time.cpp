#include "train/plan_time.h"

#include <algorithm>
#include <limits>

namespace granule {

namespace {

// Layers of the longest stage over the mean: what it computes more than its share.
double slowest_stage(const ModelConfig& model, int64_t pipeline) {
  int64_t most = 0;
  for (const auto& stage : split_stages(model, pipeline)) most = std::max(most, stage.layers());
  return static_cast<double>(most * pipeline) / static_cast<double>(model.num_hidden_layers);
}

}  // namespace

StepTime step_time(const RunConfig& config, const ModelCost& cost, const PlanLayout& layout,
                   const StepTraffic& traffic, const HardwareConfig& hardware) {
  const double peak = config.train.precision == "bf16" ? hardware.bf16_tflops : hardware.fp32_tflops;
  const double rate = static_cast<double>(layout.ranks) * peak * 1e12 * hardware.achieved_fraction;
  // Forward is a third of forward and backward; recomputing runs it twice.
  const double repeated = layout.recompute ? 4.0 / 3.0 : 1.0;
  const auto bandwidth = [&](int64_t span) {
    return 1e9 *
           (span <= hardware.ranks_per_node ? hardware.node_gb_per_second : hardware.network_gb_per_second);
  };
  StepTime time;
  time.compute = cost.flops.causal * repeated * static_cast<double>(config.train.global_batch_size) / rate;
  time.all_to_all = traffic.all_to_all / bandwidth(layout.expert);
  time.data_parallel = traffic.data_parallel / bandwidth(layout.replicas());
  time.pipeline = traffic.pipeline / bandwidth(layout.ranks);
  // Every stage waits for the slowest, and while the pipeline fills and drains: (p - 1) / (m + p - 1) of the
  // time.
  const double slowest = time.compute * slowest_stage(config.model, layout.pipeline);
  const auto waits = static_cast<double>(layout.pipeline - 1);
  time.bubble = slowest - time.compute +
                waits / static_cast<double>(num_micro_batches(config, layout)) *
                    (slowest + time.all_to_all + time.pipeline);
  return time;
}

RunTime run_time(const RunConfig& config, const ModelSize& size, const PlanLayout& layout,
                 double step_seconds, const HardwareConfig& hardware) {
  RunTime run;
  run.failures = {
      .save_stall = checkpoint_bytes(size, config.optimizer) / (hardware.storage_gb_per_second * 1e9),
      .between_failures = hardware.hours_between_failures * 3600 / static_cast<double>(layout.ranks),
      .restart = hardware.restart_minutes * 60};
  run.save_interval = static_cast<double>(config.checkpoint.save_interval) * step_seconds;
  run.best_save_interval = best_save_interval(run.failures);
  run.goodput = run.save_interval > 0 ? goodput(run.failures, run.save_interval) : 0;
  run.best_goodput = goodput(run.failures, run.best_save_interval);
  const double useful = step_seconds * static_cast<double>(config.train.train_iters);
  run.seconds = run.best_goodput > 0 ? useful / run.best_goodput : std::numeric_limits<double>::infinity();
  run.rank_hours = run.seconds / 3600 * static_cast<double>(layout.ranks);
  return run;
}

}  // namespace granule
