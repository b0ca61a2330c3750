#include "optim/lr_schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/check.h"

namespace granule {

namespace {

// `update` > fraction x decay_iters, as for real numbers: 0.7 x 10 must not come out below 7.
bool is_above(int64_t update, double fraction, int64_t decay_iters) {
  constexpr double kRounding = 1e-12;
  return static_cast<double>(update) > fraction * static_cast<double>(decay_iters) * (1 + kRounding);
}

}  // namespace

void SchedulerConfig::check(int64_t train_iters) const {
  const int64_t decay_iters = lr_decay_iters > 0 ? lr_decay_iters : train_iters;
  if (lr_decay_style != "constant" && lr_warmup_iters > decay_iters) {
    throw ConfigError("scheduler.lr_warmup_iters", lr_warmup_iters, "must not exceed the ", decay_iters,
                      " updates of the decay (scheduler.lr_decay_iters or train.train_iters)");
  }
  for (size_t i = 1; i < lr_multi_step_fractions.size(); ++i) {
    if (lr_multi_step_fractions[i] <= lr_multi_step_fractions[i - 1]) {
      throw ConfigError("scheduler.lr_multi_step_fractions", lr_multi_step_fractions[i], "must be above ",
                        lr_multi_step_fractions[i - 1], " before it");
    }
  }
}

LrSchedule::LrSchedule(const SchedulerConfig& config, double lr, double min_lr, int64_t train_iters)
    : config_(config),
      lr_(lr),
      min_lr_(min_lr),
      decay_iters_(config.lr_decay_iters > 0 ? config.lr_decay_iters : train_iters) {}

double LrSchedule::at(int64_t update) const {
  CHECK(update >= 1, "update number ", update);
  if (update < config_.lr_warmup_iters) {
    return lr_ * static_cast<double>(update) / static_cast<double>(config_.lr_warmup_iters);
  }
  return std::max(decayed(update), min_lr_);
}

double LrSchedule::decayed(int64_t update) const {
  if (config_.lr_decay_style == "cosine") {
    const auto length = static_cast<double>(decay_iters_ - config_.lr_warmup_iters);
    const auto done = static_cast<double>(update - config_.lr_warmup_iters);
    if (done >= length) return done > 0 ? min_lr_ : lr_;
    return min_lr_ + (lr_ - min_lr_) * 0.5 * (1 + std::cos(std::numbers::pi * done / length));
  }
  double lr = lr_;
  if (config_.lr_decay_style == "multi-step") {
    for (const double fraction : config_.lr_multi_step_fractions) {
      if (is_above(update, fraction, decay_iters_)) lr *= config_.lr_multi_step_factor;
    }
  }
  return lr;
}

}  // namespace granule
