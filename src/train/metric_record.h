#pragma once
// What one step (or one evaluation) of a run says about itself: names and numbers in the order they are
// shown. Names are Megatron's where it has one, since people's dashboards look for them;
// docs/observability.md defines each.

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "train/expert_statistics.h"

namespace granule {

namespace metric {

inline constexpr char kLoss[] = "lm loss";                     // nats a token
inline constexpr char kBalanceLoss[] = "load_balancing_loss";  // without coefficient, mean over layers
inline constexpr char kDeviceBalanceLoss[] = "device_load_balancing_loss";  // these three likewise, if in use
inline constexpr char kCommunicationLoss[] = "communication_loss";
inline constexpr char kRouterZLoss[] = "z_loss";
inline constexpr char kGradNorm[] = "grad-norm";               // before clipping
inline constexpr char kLearningRate[] = "learning-rate";
inline constexpr char kBatchSize[] = "batch-size";          // sequences of a step, all ranks
inline constexpr char kIterationTime[] = "iteration-time";  // seconds a step
inline constexpr char kTokensPerSecond[] = "tokens/sec";    // all ranks
inline constexpr char kThroughput[] = "throughput";         // model TFLOP/s a rank
inline constexpr char kModelFlopsUse[] = "mfu";             // of the peak of all ranks, 0 to 1
inline constexpr char kConsumedTokens[] = "consumed-tokens";
inline constexpr char kSkippedSteps[] = "skipped-iterations";    // loss or gradient not finite
inline constexpr char kValidationLoss[] = "lm loss validation";  // nats a token
inline constexpr char kValidationPerplexity[] = "lm loss validation ppl";
inline constexpr char kValidationBitsPerByte[] = "lm loss validation bpb";

}  // namespace metric

struct MetricRecord {
  int64_t step = 0;
  int64_t consumed_samples = 0;  ///< sequences seen since the start of the run
  int64_t consumed_tokens = 0;
  double wall_time = 0;  ///< Unix seconds; RunLog sets it
  std::vector<std::pair<std::string, double>> values;
  /// Integer vectors shown as histograms: bucket i holds element i.
  std::vector<std::pair<std::string, std::vector<int64_t>>> counts;

  void add(std::string name, double value) { values.emplace_back(std::move(name), value); }
  /// The four numbers of layer `layer` (from 0) as `moe/layer_NN/...`.
  void add_experts(int64_t layer, const ExpertStatistics& statistics);
  /// Tokens of each expert as `moe/layer_NN/tokens_per_expert`.
  void add_expert_counts(int64_t layer, std::span<const int64_t> count_E);
  /// Null if there is no such value.
  const double* find(const std::string& name) const;
};

}  // namespace granule
