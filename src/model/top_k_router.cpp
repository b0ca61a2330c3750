#include "model/top_k_router.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include "base/check.h"
#include "model/capacity.h"
#include "model/group_limit.h"
#include "model/selection_bias.h"
#include "ops/linear.h"
#include "ops/top_k.h"

namespace granule {

TopKRouter::TopKRouter(const RouterConfig& config, int64_t hidden_size, at::TensorOptions options)
    : config_(config) {
  centroid_ED_ = register_parameter("weight", at::empty({config.n_routed_experts, hidden_size}, options));
  if (config.moe_router_enable_expert_bias) {
    selection_bias_E_ = register_parameter(kSelectionBias, at::zeros({config.n_routed_experts}, options),
                                           /*requires_grad=*/false);
  }
}

Routing TopKRouter::route(const at::Tensor& x_TD, const SequenceLayout& layout,
                          const at::Tensor& chosen_TK) const {
  RECORD_USER_SCOPE("router");
  const auto [T, D] = get_shape<2>(x_TD);
  CHECK(D == centroid_ED_.size(1), "token width ", D, ", router width ", centroid_ED_.size(1));
  CHECK(T == layout.num_tokens(), "tokens ", T, ", layout ", layout.num_tokens());

  Routing routing;
  routing.logit_TE = apply_linear(x_TD.to(centroid_ED_.scalar_type()), centroid_ED_);
  const auto score_TE = scores(routing.logit_TE);
  const bool distribution = config_.scoring_func == "softmax";
  routing.probability_TE = distribution ? score_TE : score_TE / (score_TE.sum(1, /*keepdim=*/true) + 1e-20);
  const auto without_padding = [&](const at::Tensor& id_TK) {
    return id_TK.masked_fill(~layout.valid_T.unsqueeze(1), -1);
  };
  routing.merit_TE = merits(score_TE.detach());
  routing.chosen_TK = chosen_TK.defined()
                          ? chosen_TK
                          : without_padding(top_k_ids(routing.merit_TE, config_.num_experts_per_tok));
  routing.counted_TK = selection_bias_E_.defined()
                           ? without_padding(top_k_ids(score_TE.detach(), routing.chosen_TK.size(1)))
                           : routing.chosen_TK;
  routing.expert_TK = drop_over_capacity(routing.chosen_TK, layout, config_.n_routed_experts,
                                         config_.moe_expert_capacity_factor);
  routing.gate_TK = gates(score_TE, routing.chosen_TK);
  return routing;
}

at::Tensor TopKRouter::scores(const at::Tensor& logit_TE) const {
  return config_.scoring_func == "softmax" ? at::softmax(logit_TE, 1) : at::sigmoid(logit_TE);
}

at::Tensor TopKRouter::merits(const at::Tensor& score_TE) const {
  const auto merit_TE = selection_bias_E_.defined() ? score_TE + selection_bias_E_ : score_TE;
  return config_.is_grouped() ? limit_to_groups(merit_TE, config_) : merit_TE;
}

at::Tensor TopKRouter::gates(const at::Tensor& score_TE, const at::Tensor& chosen_TK) const {
  // A dropped choice keeps its gate: dropping does not renormalise the others, and its row is left out on the
  // way back.
  auto gate_TK = score_TE.gather(1, chosen_TK.clamp_min(0));
  // As trained, also where an analysis chooses another number.
  if (config_.norm_topk_prob && config_.num_experts_per_tok > 1) {
    gate_TK = gate_TK / (gate_TK.sum(1, /*keepdim=*/true) + 1e-20);
  }
  return config_.routed_scaling_factor == 1.0 ? gate_TK : gate_TK * config_.routed_scaling_factor;
}

}  // namespace granule
