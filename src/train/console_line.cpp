#include "train/console_line.h"

#include <cmath>
#include <cstdio>

namespace granule {

namespace {

template <class... Values>
std::string format(const char* pattern, Values... values) {
  char text[128];
  std::snprintf(text, sizeof(text), pattern, values...);
  return text;
}

struct Field {
  const char* name;
  const char* pattern;
  double factor = 1;
};

std::string fields_line(const MetricRecord& metrics, std::span<const Field> fields) {
  std::string line;
  for (const auto& field : fields) {
    const double* value = metrics.find(field.name);
    if (value == nullptr) continue;
    // Of NaN there is one only.
    line += format(field.pattern, std::isnan(*value) ? std::abs(*value) : *value * field.factor);
  }
  return line;
}

}  // namespace

std::string iteration_line(const MetricRecord& metrics, int64_t num_steps) {
  static constexpr Field kFields[] = {
      {metric::kIterationTime, " elapsed time per iteration (ms): %.1f |", 1000},
      {metric::kThroughput, " throughput per GPU (TFLOP/s/GPU): %.3f |"},
      {metric::kTokensPerSecond, " tokens/sec: %.0f |"},
      {metric::kLearningRate, " learning rate: %.6E |"},
      {metric::kBatchSize, " global batch size: %5.0f |"},
      {metric::kLoss, " lm loss: %.6E |"},
      {metric::kBalanceLoss, " load_balancing_loss: %.6E |"},
      {metric::kGradNorm, " grad norm: %.3f |"},
      {metric::kSkippedSteps, " number of skipped iterations: %3.0f |"},
      // The only reason to skip a step; people's scripts look for both.
      {metric::kSkippedSteps, " number of nan iterations: %3.0f |"},
  };
  return format("iteration %8lld/%8lld | consumed samples: %12lld |", static_cast<long long>(metrics.step),
                static_cast<long long>(num_steps), static_cast<long long>(metrics.consumed_samples)) +
         fields_line(metrics, kFields);
}

std::string validation_line(const MetricRecord& metrics) {
  static constexpr Field kFields[] = {
      {metric::kValidationLoss, " lm loss value: %.6E |"},
      {metric::kValidationPerplexity, " lm loss PPL: %.6E |"},
      {metric::kValidationBitsPerByte, " bits per byte: %.6f |"},
  };
  return format("validation loss at iteration %lld |", static_cast<long long>(metrics.step)) +
         fields_line(metrics, kFields);
}

}  // namespace granule
