#pragma once
// What a config will cost in one layout on one kind of hardware, without running it.

#include "train/plan_time.h"

namespace granule {

struct Plan {
  RunConfig config;
  HardwareConfig hardware;
  PlanLayout layout;
  ModelCost cost;
  RankMemory memory;  ///< of the rank that needs most
  StepTraffic traffic;
  StepTime step;
  RunTime run;
  std::string fault;  ///< why the layout cannot run; empty if it can

  /// Whether the layout exists, memory aside: memory, traffic, step and run are filled.
  bool is_laid_out() const { return memory.total() > 0; }
  /// Epochs have as many steps as the data, which are not looked at: what `run` says of its whole length
  /// means nothing then.
  bool knows_steps() const { return config.train.num_train_epochs == 0; }
  double tokens_per_step() const {
    return static_cast<double>(config.train.global_batch_size * config.train.seq_length);
  }
  /// Memory that a rank may use, bytes.
  double memory_limit() const;
};

/// Reads `path` and checks what does not depend on the layout. Throws ConfigError, InputError.
RunConfig load_config_to_plan(const std::string& path, const std::vector<std::string>& overrides);

/// Throws InputError, ConfigError.
HardwareConfig load_hardware(const std::string& path);

/// Of a layout that cannot be, only `cost` and `fault` are filled; one that needs too much memory is filled
/// whole. `cost` is measure_cost's.
Plan make_plan(const RunConfig& config, const ModelCost& cost, const PlanLayout& layout,
               const HardwareConfig& hardware);

}  // namespace granule
