#include "model/routing_statistics.h"

#include <ATen/ATen.h>

#include <limits>

namespace granule {

RoutingStatistics summarize(const Routing& routing, const SequenceLayout& layout,
                            const BalanceLosses& losses) {
  const at::NoGradGuard no_grad;
  RoutingStatistics statistics;
  const int64_t num_experts = routing.probability_TE.size(1);
  const auto count = [&](const at::Tensor& expert_TK) {
    return at::bincount(expert_TK.masked_select(expert_TK.ge(0)), {}, num_experts).to(at::kCPU);
  };
  statistics.count_E = count(routing.expert_TK);
  statistics.chosen_E = count(routing.chosen_TK);
  statistics.num_tokens = layout.valid_T.sum().item<int64_t>();
  const auto& probability_TE = routing.probability_TE;
  // Where a probability is zero, so is its share, whatever the logarithm; xlogy would do the same, but
  // slowly.
  const auto entropy_T =
      -(probability_TE * probability_TE.clamp_min(std::numeric_limits<float>::min()).log()).sum(1);
  statistics.entropy_sum = entropy_T.masked_fill(~layout.valid_T, 0).sum(at::kDouble).item<double>();
  const auto value = [](const at::Tensor& loss) { return loss.defined() ? loss.item<double>() : 0.0; };
  statistics.balance = {value(losses.expert), value(losses.device), value(losses.communication),
                        value(losses.z)};
  return statistics;
}

void add_statistics(RoutingStatistics& total, const RoutingStatistics& part) {
  total.count_E += part.count_E;
  total.chosen_E += part.chosen_E;
  total.num_tokens += part.num_tokens;
  total.entropy_sum += part.entropy_sum;
  total.balance.expert += part.balance.expert;
  total.balance.device += part.balance.device;
  total.balance.communication += part.balance.communication;
  total.balance.z += part.balance.z;
}

}  // namespace granule
