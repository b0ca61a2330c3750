#include "train/plan_search.h"

#include <algorithm>
#include <tuple>

namespace granule {

namespace {

std::vector<int64_t> divisors(int64_t number) {
  std::vector<int64_t> found;
  for (int64_t candidate = 1; candidate <= number / candidate; ++candidate) {
    if (number % candidate != 0) continue;
    found.push_back(candidate);
    if (candidate != number / candidate) found.push_back(number / candidate);
  }
  std::ranges::sort(found);
  return found;
}

// Goes through micro-batches until one is too large; larger ones would fail for the same reason.
void try_micro_batches(const RunConfig& config, const ModelCost& cost, PlanLayout layout,
                       const HardwareConfig& hardware, PlanSearch& search) {
  for (const int64_t micro_batch : {1, 2, 4, 8}) {
    layout.micro_batch_size = micro_batch;
    auto plan = make_plan(config, cost, layout, hardware);
    const bool runs = plan.fault.empty();
    (runs ? search.feasible : search.infeasible).push_back(std::move(plan));
    if (!runs) return;
  }
}

}  // namespace

PlanSearch search_layouts(const RunConfig& config, int64_t ranks, const HardwareConfig& hardware,
                          int64_t pipeline) {
  const auto cost = measure_cost(config.model, config.train.seq_length, config.lora);
  PlanSearch search;
  for (const int64_t stages : pipeline > 0 ? std::vector{pipeline} : divisors(ranks)) {
    // More stages than ranks are one layout too, so that its fault is said.
    for (const int64_t expert : divisors(std::max<int64_t>(1, ranks / stages))) {
      PlanLayout layout{.ranks = ranks, .pipeline = stages, .expert = expert};
      if (!layout_fault(config, layout).empty()) {
        search.infeasible.push_back(make_plan(config, cost, layout, hardware));
        continue;
      }
      for (const bool recompute : {false, true}) {
        layout.recompute = recompute;
        try_micro_batches(config, cost, layout, hardware, search);
      }
    }
  }
  std::stable_sort(search.feasible.begin(), search.feasible.end(), [](const Plan& a, const Plan& b) {
    return std::tuple(a.step.total(), a.memory.total()) < std::tuple(b.step.total(), b.memory.total());
  });
  return search;
}

}  // namespace granule
