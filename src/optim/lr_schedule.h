#pragma once
// The learning rate of each update, as a pure function of its number. Updates count from 1.

#include <cstdint>
#include <string>
#include <vector>

#include "base/config.h"

namespace granule {

struct SchedulerConfig {
  std::string lr_decay_style = "cosine";
  int64_t lr_warmup_iters = 0;
  int64_t lr_decay_iters = 0;
  std::vector<double> lr_multi_step_fractions = {0.8, 0.9};
  double lr_multi_step_factor = 0.316;

  void visit(auto&& field) {
    field("lr_decay_style", lr_decay_style, {.choices = {"constant", "multi-step", "cosine"}},
          "after warm-up: lr for good; times lr_multi_step_factor at each fraction; half a cosine to min_lr");
    field("lr_warmup_iters", lr_warmup_iters, {.min = 0},
          "updates of linear warm-up; the last one has all of lr");
    field("lr_decay_iters", lr_decay_iters, {.min = 0},
          "N, the update that ends the decay; 0: train.train_iters");
    field("lr_multi_step_fractions", lr_multi_step_fractions, {.min = 0, .max = 1},
          "multi-step: updates above this fraction of N have one factor more; ascending");
    field("lr_multi_step_factor", lr_multi_step_factor, {.min = 0, .max = 1},
          "multi-step: factor of each step");
  }

  /// Throws ConfigError for a run of `train_iters` updates.
  void check(int64_t train_iters) const;
};

class LrSchedule {
 public:
  /// `lr` at the peak; no decay goes below `min_lr`.
  LrSchedule(const SchedulerConfig& config, double lr, double min_lr, int64_t train_iters);

  /// Of update number `update` >= 1.
  double at(int64_t update) const;

 private:
  double decayed(int64_t update) const;

  SchedulerConfig config_;
  double lr_;
  double min_lr_;
  int64_t decay_iters_;
};

}  // namespace granule
