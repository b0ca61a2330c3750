#pragma once
// The machine a plan is for: a YAML file of configs/hardware. A rank is one GPU, or on CPU machines one
// core's worth of process.

#include <string>

#include "base/config.h"

namespace granule {

inline constexpr double kGib = 1024.0 * 1024 * 1024;

struct HardwareConfig {
  std::string name = "h100";
  double bf16_tflops = 989;
  double fp32_tflops = 67;
  double achieved_fraction = 0.4;
  double memory_gib = 80;
  double reserved_gib = 6;
  int64_t ranks_per_node = 8;
  double node_gb_per_second = 450;
  double network_gb_per_second = 50;
  double storage_gb_per_second = 20;
  double hours_between_failures = 50700;
  double restart_minutes = 10;

  void visit(auto&& field) {
    field("name", name, {}, "of the machine");
    field("bf16_tflops", bf16_tflops, {.min = 1e-6}, "TFLOP/s that a rank could do in bf16 matrix products");
    field("fp32_tflops", fp32_tflops, {.min = 1e-6}, "the same in fp32");
    field("achieved_fraction", achieved_fraction, {.min = 1e-3, .max = 1},
          "of these, what training reaches between exchanges");
    field("memory_gib", memory_gib, {.min = 1e-3}, "GiB of a rank");
    field("reserved_gib", reserved_gib, {.min = 0},
          "of them, what context, workspaces and fragmentation take");
    field("ranks_per_node", ranks_per_node, {.min = 1}, "ranks that share the fast links");
    field("node_gb_per_second", node_gb_per_second, {.min = 1e-6}, "GB/s a rank sends within its node");
    field("network_gb_per_second", network_gb_per_second, {.min = 1e-6}, "GB/s a rank sends to other nodes");
    field("storage_gb_per_second", storage_gb_per_second, {.min = 1e-6},
          "GB/s all ranks together write durably");
    field("hours_between_failures", hours_between_failures, {.min = 1e-3},
          "rank-hours for each failure that stops the job");
    field("restart_minutes", restart_minutes, {.min = 0},
          "from a failure to the next step: notice, start, load");
  }
};

}  // namespace granule
