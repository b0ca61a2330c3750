#include "train/task_report.h"

#include <cmath>
#include <numeric>

#include "base/check.h"

namespace granule {

void add_mean(nlohmann::ordered_json& metrics, const std::string& name, const std::vector<double>& values) {
  CHECK(!values.empty(), name);
  const auto count = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  metrics[name] = mean;
  auto& error = metrics[name + "_stderr"];
  if (values.size() > 1) error = std::sqrt(squares / (count - 1) / count);
}

}  // namespace granule
