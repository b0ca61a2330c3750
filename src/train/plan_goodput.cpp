#include "train/plan_goodput.h"

#include <algorithm>
#include <cmath>

namespace granule {

double goodput(const FailureModel& failures, double save_interval) {
  const double lost = failures.save_stall / save_interval + save_interval / (2 * failures.between_failures) +
                      failures.restart / failures.between_failures;
  return std::max(0.0, 1 - lost);
}

double best_save_interval(const FailureModel& failures) {
  return std::sqrt(2 * failures.save_stall * failures.between_failures);
}

}  // namespace granule
