#include "model/routing_statistics.h"

#include <ATen/ATen.h>

#include "model/balance.h"

namespace granule {

RoutingStatistics summarize(const Routing& routing, const SequenceLayout& layout) {
  const at::NoGradGuard no_grad;
  RoutingStatistics statistics;
  const int64_t num_experts = routing.probability_TE.size(1);
  const auto taken_TK = routing.expert_TK.ge(0);
  statistics.count_E = at::bincount(routing.expert_TK.masked_select(taken_TK), {}, num_experts);
  statistics.num_tokens = layout.valid_T.sum().item<int64_t>();
  statistics.num_chosen = statistics.num_tokens * routing.chosen_TK.size(1);
  const auto entropy_T = -at::xlogy(routing.probability_TE, routing.probability_TE).sum(1);
  statistics.entropy_sum = entropy_T.masked_fill(~layout.valid_T, 0).sum(at::kDouble).item<double>();
  statistics.balance_loss_sum = sequence_balance_loss(routing, layout).item<double>();
  statistics.num_sequences = layout.num_sequences;
  return statistics;
}

}  // namespace granule
