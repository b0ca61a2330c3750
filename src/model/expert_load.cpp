#include "model/expert_load.h"

#include <ATen/ATen.h>

#include "base/check.h"

namespace granule {

namespace {

struct TokenSets {
  at::Tensor set_T;  // number of the token's set; padding lies in one more set, to be cut off
  int64_t count;
};

TokenSets token_sets(const SequenceLayout& layout, LoadScope scope) {
  if (scope == LoadScope::kBatch) return {(~layout.valid_T).to(at::kLong), 1};
  return {layout.sequence_T.masked_fill(~layout.valid_T, layout.num_sequences), layout.num_sequences};
}

// Over the tokens of each set: [sets, E].
at::Tensor sum_of_sets(const at::Tensor& probability_TE, const TokenSets& sets) {
  if (!probability_TE.is_cpu()) {
    // A GPU adds rows in any order; a product has one.
    const auto id_s = at::arange(sets.count, sets.set_T.options());
    const auto belongs_sT = sets.set_T.unsqueeze(0).eq(id_s.unsqueeze(1)).to(probability_TE.scalar_type());
    return at::mm(belongs_sT, probability_TE);
  }
  return at::zeros({sets.count + 1, probability_TE.size(1)}, probability_TE.options().requires_grad(false))
      .index_add(0, sets.set_T, probability_TE)
      .narrow(0, 0, sets.count);
}

}  // namespace

at::Tensor count_ids(const at::Tensor& id, int64_t n) {
  // bincount would ask the device for the largest. Negative ones share a place behind the others.
  const auto place_N = id.masked_fill(id.lt(0), n).flatten();
  return at::zeros({n + 1}, place_N.options())
      .scatter_add_(0, place_N, at::ones_like(place_N))
      .narrow(0, 0, n);
}

at::Tensor count_choices(const Routing& routing, const SequenceLayout& layout, LoadScope scope,
                         int64_t num_groups) {
  const auto [T, E] = get_shape<2>(routing.probability_TE);
  const auto sets = token_sets(layout, scope);
  const int64_t rows = sets.count + 1;
  const auto cell_TK = sets.set_T.unsqueeze(1) * E + routing.counted_TK;
  const auto chosen_sE =
      count_ids(cell_TK.masked_fill(routing.counted_TK.lt(0), -1), rows * E).view({rows, E});
  // Padding, which has chosen nothing, may reach any group: its row is cut off.
  const auto group_TK = routing.chosen_TK.clamp_min(0).div(num_groups > 0 ? E / num_groups : E, "floor");
  const auto reached_TG = at::zeros({T, num_groups}, group_TK.options());
  if (num_groups > 0) reached_TG.scatter_(1, group_TK, 1);
  const auto reached_sG =
      at::zeros({rows, num_groups}, group_TK.options()).index_add_(0, sets.set_T, reached_TG);
  const auto tokens_s1 = count_ids(sets.set_T, rows).unsqueeze(1);
  return at::cat({chosen_sE, reached_sG, tokens_s1}, 1).narrow(0, 0, sets.count).contiguous();
}

ExpertLoad expert_load(const Routing& routing, const ForwardContext& context, LoadScope scope,
                       const at::Tensor& count_sC) {
  const int64_t E = routing.probability_TE.size(1), K = routing.chosen_TK.size(1);
  const int64_t G = count_sC.size(1) - E - 1;
  const auto sets = token_sets(context.layout, scope);
  const auto options = routing.probability_TE.options().requires_grad(false);
  CHECK(count_sC.size(0) == sets.count, count_sC.size(0), " counts for ", sets.count, " sets of tokens");

  const auto tokens_s1 = count_sC.narrow(1, E + G, 1).clamp_min(1).to(options);
  const auto sum_sE = sum_of_sets(routing.probability_TE, sets);
  ExpertLoad load;
  load.frequency_sE =
      count_sC.narrow(1, 0, E).to(options) / tokens_s1 * (static_cast<double>(E) / static_cast<double>(K));
  load.reach_sG = count_sC.narrow(1, E, G).to(options) / tokens_s1 * static_cast<double>(G);
  load.probability_sE = scope == LoadScope::kSequence ? sum_sE * (context.sequence_weight / tokens_s1)
                                                      : sum_sE * context.token_weight;
  return load;
}

}  // namespace granule
