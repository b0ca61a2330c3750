#pragma once
// A run's lines for people and for the scripts that parse Megatron's: same words, same order, `|` between
// fields.

#include <string>

#include "train/metric_record.h"

namespace granule {

/// `iteration 10/ 1000 | consumed samples: 640 | ... |`; fields that the record lacks are left out.
std::string iteration_line(const MetricRecord& metrics, int64_t num_steps);

/// `validation loss at iteration 10 | lm loss value: 3.2E+00 | lm loss PPL: 2.5E+01 |`.
std::string validation_line(const MetricRecord& metrics);

}  // namespace granule
