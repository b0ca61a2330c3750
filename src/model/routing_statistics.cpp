#include "model/routing_statistics.h"

#include <ATen/ATen.h>

#include <limits>

#include "base/check.h"
#include "model/expert_load.h"

namespace granule {

at::Tensor RoutingStatistics::count_E() const {
  return count_C.narrow(0, 0, num_experts());
}
at::Tensor RoutingStatistics::chosen_E() const {
  return count_C.narrow(0, num_experts(), num_experts());
}
int64_t RoutingStatistics::num_tokens() const {
  return count_C[2 * num_experts()].item<int64_t>();
}
double RoutingStatistics::entropy_sum() const {
  return sum_5[0].item<double>();
}

BalanceValues RoutingStatistics::balance() const {
  const auto value = [&](int64_t i) { return sum_5[i].item<double>(); };
  return {value(1), value(2), value(3), value(4)};
}

RoutingStatistics summarize(const Routing& routing, const SequenceLayout& layout,
                            const BalanceLosses& losses) {
  const at::NoGradGuard no_grad;
  const auto& probability_TE = routing.probability_TE;
  const int64_t E = probability_TE.size(1);
  const auto count_E = count_ids(routing.expert_TK, E);
  const bool none_dropped = routing.expert_TK.is_same(routing.chosen_TK);
  const auto chosen_E = none_dropped ? count_E : count_ids(routing.chosen_TK, E);
  // Where a probability is zero, so is its share, whatever the logarithm; xlogy would do the same, but
  // slowly.
  const auto entropy_T =
      -(probability_TE * probability_TE.clamp_min(std::numeric_limits<float>::min()).log()).sum(1);
  const auto value = [&](const at::Tensor& loss) {
    const auto options = probability_TE.options().dtype(at::kDouble);
    return loss.defined() ? loss.to(options) : at::zeros({}, options);
  };
  return {at::cat({count_E, chosen_E, layout.valid_T.sum().view({1})}),
          at::stack({entropy_T.masked_fill(~layout.valid_T, 0).sum(at::kDouble), value(losses.expert),
                     value(losses.device), value(losses.communication), value(losses.z)})};
}

void add_statistics(std::vector<RoutingStatistics>& total, const std::vector<RoutingStatistics>& part) {
  if (total.empty()) {
    total = part;
    return;
  }
  CHECK(total.size() == part.size(), total.size(), " layers against ", part.size());
  for (size_t i = 0; i < total.size(); ++i) {
    total[i].count_C.add_(part[i].count_C);
    total[i].sum_5.add_(part[i].sum_5);
  }
}

void reduce_statistics(std::vector<RoutingStatistics>& statistics, Communicator& group) {
  if (statistics.empty()) return;
  const auto sum_of_all = [&](at::Tensor RoutingStatistics::*part) {
    std::vector<at::Tensor> layers;
    for (const auto& layer : statistics) layers.push_back(layer.*part);
    auto all = at::stack(layers).cpu();
    group.all_reduce_sum(all);
    for (size_t i = 0; i < statistics.size(); ++i) statistics[i].*part = all[static_cast<int64_t>(i)];
  };
  sum_of_all(&RoutingStatistics::count_C);
  sum_of_all(&RoutingStatistics::sum_5);
}

}  // namespace granule
