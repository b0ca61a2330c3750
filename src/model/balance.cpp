#include "model/balance.h"

#include <ATen/ATen.h>

#include "base/check.h"
#include "model/router.h"

namespace granule {

void BalanceConfig::check(const RouterConfig& router) const {
  if (router.n_routed_experts == 0 && moe_aux_loss_coeff > 0) {
    throw ConfigError("model.moe_aux_loss_coeff", moe_aux_loss_coeff,
                      "needs routed experts, but model.n_routed_experts = 0");
  }
}

at::Tensor sequence_balance_loss(const Routing& routing, const SequenceLayout& layout) {
  const auto [T, E] = get_shape<2>(routing.probability_TE);
  const int64_t K = routing.chosen_TK.size(1);
  const int64_t num_sequences = layout.num_sequences;

  // Padding goes into one extra sequence that is cut off.
  const auto sequence_T = layout.sequence_T.masked_fill(~layout.valid_T, num_sequences);
  const auto tokens_s = at::bincount(sequence_T, {}, num_sequences + 1).clamp_min(1).to(routing.probability_TE.dtype());
  const auto cell_TK = (sequence_T.unsqueeze(1) * E + routing.chosen_TK).masked_select(routing.chosen_TK.ge(0));
  const auto count_sE =
      at::bincount(cell_TK, {}, (num_sequences + 1) * E).view({num_sequences + 1, E}).to(tokens_s.dtype());
  const auto frequency_sE = count_sE * (static_cast<double>(E) / static_cast<double>(K)) / tokens_s.unsqueeze(1);
  const auto sum_sE = at::zeros({num_sequences + 1, E}, tokens_s.options())
                          .index_add(0, sequence_T, routing.probability_TE);
  const auto probability_sE = sum_sE / tokens_s.unsqueeze(1);
  return (frequency_sE * probability_sE).narrow(0, 0, num_sequences).sum();
}

}  // namespace granule
