#include "train/plan.h"

#include <cstdio>

namespace granule {

namespace {

std::string memory_fault(const RankMemory& memory, double limit) {
  if (memory.total() <= limit) return "";
  char text[160];
  std::snprintf(text, sizeof(text), "needs %.1f GiB of %.1f: state %.1f, activations %.1f",
                memory.total() / kGib, limit / kGib, memory.state() / kGib, memory.activations / kGib);
  return text;
}

}  // namespace

double Plan::memory_limit() const {
  return (hardware.memory_gib - hardware.reserved_gib) * kGib;
}

RunConfig load_config_to_plan(const std::string& path, const std::vector<std::string>& overrides) {
  RunConfig config;
  ConfigDocument(path, overrides).read_into<RunConfig>(config, [](const RunConfig& read) {
    read.model.check();
    read.lora.check();
    read.optimizer.check();
    if (read.train.num_train_epochs == 0) read.scheduler.check(read.train.train_iters);
  });
  return config;
}

HardwareConfig load_hardware(const std::string& path) {
  HardwareConfig hardware;
  ConfigDocument(path, {}).read_into<HardwareConfig>(hardware, [](const HardwareConfig& read) {
    if (read.reserved_gib >= read.memory_gib) {
      throw ConfigError("reserved_gib", read.reserved_gib,
                        "leaves nothing of memory_gib = ", read.memory_gib);
    }
  });
  return hardware;
}

Plan make_plan(const RunConfig& config, const ModelCost& cost, const PlanLayout& layout,
               const HardwareConfig& hardware) {
  Plan plan{.config = config, .hardware = hardware, .layout = layout, .cost = cost};
  plan.fault = layout_fault(config, layout);
  if (!plan.fault.empty()) return plan;
  plan.memory = largest_memory(config, cost.size, layout);
  plan.traffic = step_traffic(config, cost.size, layout);
  plan.step = step_time(config, cost, layout, plan.traffic, hardware);
  plan.run = run_time(config, cost.size, layout, plan.step.total(), hardware);
  plan.fault = memory_fault(plan.memory, plan.memory_limit());
  return plan;
}

}  // namespace granule
