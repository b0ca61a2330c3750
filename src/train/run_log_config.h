#pragma once
// Section `logger` of a config: how often a run speaks, and where.

#include <cstdint>

namespace granule {

struct LoggerConfig {
  int64_t log_interval = 10;
  int64_t expert_counts_interval = 100;
  double peak_tflops = 0;
  bool tensorboard = true;
  bool progress_bar = true;

  void visit(auto&& field) {
    field("log_interval", log_interval, {.min = 1}, "steps from one line of metrics to the next");
    field("expert_counts_interval", expert_counts_interval, {.min = 0},
          "steps between records of every expert's token count, taken when a line is due; 0: never");
    field("peak_tflops", peak_tflops, {.min = 0},
          "TFLOP/s that the hardware of one rank could do in train.precision, to log mfu; 0: not known");
    field("tensorboard", tensorboard, {}, "write TensorBoard events under <run>/tensorboard");
    field("progress_bar", progress_bar, {}, "draw a progress bar where stderr is a terminal");
  }
};

}  // namespace granule
