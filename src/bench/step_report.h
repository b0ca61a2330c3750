#pragma once
// A step benchmark in words and as JSON.

#include <nlohmann/json.hpp>
#include <string>

#include "bench/step_benchmark.h"

namespace granule {

/// Rates, seconds of the parts of a step, and of each named phase its share of the machine's limit.
nlohmann::ordered_json step_report_json(const StepBenchmark& result);

/// The same for people.
std::string step_report_text(const StepBenchmark& result);

}  // namespace granule
