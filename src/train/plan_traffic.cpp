#include "train/plan_traffic.h"

#include <algorithm>

namespace granule {

namespace {

// What all but this rank of a group of `ranks` hold.
double others(int64_t ranks) {
  return static_cast<double>(ranks - 1) / static_cast<double>(ranks);
}

}  // namespace

double data_parallel_bytes(const RankParameters& parameters, const Replication& replication,
                           int64_t element_bytes) {
  constexpr double kFp32Bytes = 4;
  const double matrix = kFp32Bytes + static_cast<double>(element_bytes);
  return others(replication.replicated) * (matrix * parameters.matrices + 2 * kFp32Bytes * parameters.fp32) +
         others(replication.experts) * matrix * parameters.experts;
}

double once_per_rank_share(int64_t experts, int64_t chosen, int64_t ranks) {
  // C(E - E/R, K) / C(E, K): no chosen expert lies on a given rank.
  const int64_t elsewhere = experts - experts / ranks;
  double missed = 1;
  for (int64_t k = 0; k < chosen; ++k) {
    missed *= static_cast<double>(std::max<int64_t>(0, elsewhere - k)) / static_cast<double>(experts - k);
  }
  return static_cast<double>(ranks) * (1 - missed) / static_cast<double>(chosen);
}

StepTraffic step_traffic(const RunConfig& config, const ModelSize& size, const PlanLayout& layout) {
  const auto& model = config.model;
  const int64_t experts = model.router.n_routed_experts, chosen = model.router.num_experts_per_tok;
  const int64_t e = element_bytes(config.train);
  const auto micro_batches = static_cast<double>(num_micro_batches(config, layout));
  const auto tokens = static_cast<double>(layout.micro_batch_size * config.train.seq_length);
  const auto row = static_cast<double>(e * model.hidden_size);

  StepTraffic traffic;
  int64_t most_layers = 0;
  for (const auto& stage : split_stages(model, layout.pipeline)) {
    if (experts > 0) most_layers = std::max(most_layers, stage.expert_layers);
    const auto parameters = rank_parameters(model, size, stage, layout.expert).trained();
    traffic.data_parallel = std::max(traffic.data_parallel,
                                     data_parallel_bytes(parameters, {layout.replicas(), layout.data()}, e));
  }
  if (most_layers > 0) {
    const double one_way = tokens * static_cast<double>(chosen) * row * others(layout.expert);
    const double exchanges = layout.recompute ? 6 : 4;
    traffic.all_to_all = exchanges * one_way * static_cast<double>(most_layers) * micro_batches;
    traffic.once_per_rank = once_per_rank_share(experts, chosen, layout.expert);
  }
  if (layout.pipeline > 1) traffic.pipeline = 2 * tokens * row * micro_batches;
  return traffic;
}

}  // namespace granule
