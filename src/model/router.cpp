#include "model/router.h"

#include <ATen/ATen.h>

#include <cmath>

#include "base/check.h"
#include "ops/top_k.h"

namespace granule {

void RouterConfig::check() const {
  if (n_routed_experts > 0 && num_experts_per_tok > n_routed_experts) {
    throw ConfigError("model.num_experts_per_tok", num_experts_per_tok,
                      "must not exceed model.n_routed_experts = ", n_routed_experts);
  }
}

Router::Router(const RouterConfig& config, int64_t hidden_size, at::TensorOptions options) : config_(config) {
  centroid_ED_ = register_parameter("weight", at::empty({config.n_routed_experts, hidden_size}, options));
}

Routing Router::route(const at::Tensor& x_TD, const SequenceLayout& layout, const at::Tensor& chosen_TK) const {
  const auto [T, D] = get_shape<2>(x_TD);
  CHECK(D == centroid_ED_.size(1), "token width ", D, ", router width ", centroid_ED_.size(1));
  CHECK(T == layout.num_tokens(), "tokens ", T, ", layout ", layout.num_tokens());

  Routing routing;
  const auto logit_TE = at::matmul(x_TD.to(centroid_ED_.scalar_type()), centroid_ED_.t());
  const bool softmax = config_.scoring_func == "softmax";
  const auto score_TE = softmax ? at::softmax(logit_TE, 1) : at::sigmoid(logit_TE);
  routing.probability_TE = softmax ? score_TE : score_TE / (score_TE.sum(1, /*keepdim=*/true) + 1e-20);
  routing.chosen_TK = chosen_TK.defined() ? chosen_TK
                                          : top_k_ids(score_TE.detach(), config_.num_experts_per_tok)
                                                .masked_fill(~layout.valid_T.unsqueeze(1), -1);
  routing.expert_TK = drop_over_capacity(routing.chosen_TK, layout);
  // A dropped choice keeps its gate: dropping does not renormalise the others, and its row is left out on the way back.
  routing.gate_TK = score_TE.gather(1, routing.chosen_TK.clamp_min(0));
  if (config_.norm_topk_prob && config_.num_experts_per_tok > 1) {
    routing.gate_TK = routing.gate_TK / (routing.gate_TK.sum(1, /*keepdim=*/true) + 1e-20);
  }
  if (config_.routed_scaling_factor != 1.0) routing.gate_TK = routing.gate_TK * config_.routed_scaling_factor;
  return routing;
}

at::Tensor Router::drop_over_capacity(const at::Tensor& chosen_TK, const SequenceLayout& layout) const {
  if (config_.moe_expert_capacity_factor == 0.0) return chosen_TK;
  const auto [T, K] = get_shape<2>(chosen_TK);
  const int64_t E = config_.n_routed_experts;
  auto kept_TK = chosen_TK.clone();
  auto* expert = kept_TK.data_ptr<int64_t>();
  const auto* sequence = layout.sequence_T.data_ptr<int64_t>();
  std::vector<int64_t> tokens(static_cast<size_t>(layout.num_sequences), 0);
  for (int64_t t = 0; t < T; ++t) {
    if (sequence[t] >= 0) ++tokens[static_cast<size_t>(sequence[t])];
  }
  std::vector<int64_t> taken(static_cast<size_t>(layout.num_sequences * E), 0);
  for (int64_t k = 0; k < K; ++k) {
    for (int64_t t = 0; t < T; ++t) {
      auto& choice = expert[t * K + k];
      if (choice < 0) continue;
      const auto s = static_cast<size_t>(sequence[t]);
      const auto capacity = static_cast<int64_t>(std::ceil(config_.moe_expert_capacity_factor *
                                                           static_cast<double>(K * tokens[s]) / static_cast<double>(E)));
      auto& places = taken[s * static_cast<size_t>(E) + static_cast<size_t>(choice)];
      if (places == capacity) {
        choice = -1;
      } else {
        ++places;
      }
    }
  }
  return kept_TK;
}

}  // namespace granule
