#include "train/metric_record.h"

#include <cstdio>

namespace granule {

namespace {

std::string layer_metric(int64_t layer, const char* name) {
  char text[64];
  std::snprintf(text, sizeof(text), "moe/layer_%02lld/%s", static_cast<long long>(layer), name);
  return text;
}

}  // namespace

void MetricRecord::add_experts(int64_t layer, const ExpertStatistics& statistics) {
  add(layer_metric(layer, "load_imbalance"), statistics.load_imbalance);
  add(layer_metric(layer, "max_violation"), statistics.max_violation);
  add(layer_metric(layer, "entropy"), statistics.entropy);
  add(layer_metric(layer, "dropped_fraction"), statistics.dropped_fraction);
}

void MetricRecord::add_expert_counts(int64_t layer, std::span<const int64_t> count_E) {
  counts.emplace_back(layer_metric(layer, "tokens_per_expert"),
                      std::vector<int64_t>(count_E.begin(), count_E.end()));
}

const double* MetricRecord::find(const std::string& name) const {
  for (const auto& [key, value] : values) {
    if (key == name) return &value;
  }
  return nullptr;
}

}  // namespace granule
