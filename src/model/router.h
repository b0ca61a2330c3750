#pragma once
// The router of a fine-grained MoE layer: which K of E routed experts a token goes to, and with which weight
// (arXiv 2401.06066, eq. 9-11). It knows neither ranks nor experts' weights; balance losses read its result.

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <string>

#include "model/forward_context.h"

namespace granule {

struct RouterConfig {
  int64_t n_routed_experts = 0;
  int64_t num_experts_per_tok = 1;
  std::string scoring_func = "softmax";
  bool norm_topk_prob = false;
  double routed_scaling_factor = 1.0;
  double moe_expert_capacity_factor = 0.0;

  void visit(auto&& field) {
    field("n_routed_experts", n_routed_experts, {.min = 0, .max = 1 << 16},
          "E, experts the router chooses from; 0: none, the model is dense (or its experts are all shared)");
    field("num_experts_per_tok", num_experts_per_tok, {.min = 1, .max = 1024},
          "K, routed experts chosen for a token");
    field("scoring_func", scoring_func, {.choices = {"softmax", "sigmoid"}},
          "scores of the experts: softmax over all of them, or each by itself");
    field("norm_topk_prob", norm_topk_prob, {}, "divide the K chosen gates by their sum (no effect for K = 1)");
    field("routed_scaling_factor", routed_scaling_factor, {.min = 0}, "factor on the chosen gates");
    field("moe_expert_capacity_factor", moe_expert_capacity_factor, {.min = 0},
          "an expert takes at most ceil(factor x K x tokens / E) tokens of a sequence; 0: no limit, nothing dropped");
  }

  void check() const;
};

/// The decision for T tokens, best choice first.
struct Routing {
  at::Tensor chosen_TK;       ///< int64, in [0, E), -1 for padding; of equal scores the lower id wins
  at::Tensor expert_TK;       ///< the same after capacity: -1 where the expert had no room left
  at::Tensor gate_TK;         ///< fp32, differentiable: weight of each chosen expert's output
  at::Tensor probability_TE;  ///< fp32, differentiable: scores over all experts, a distribution for each token
};

class Router : public torch::nn::Module {
 public:
  Router(const RouterConfig& config, int64_t hidden_size, at::TensorOptions options);

  /// Logits and scores are fp32 (fp64 for fp64 weights) whatever the dtype of `x_TD`; padding is routed nowhere.
  /// `chosen_TK`, if defined, is a former result's `chosen_TK`, taken instead of choosing anew (recomputation).
  Routing route(const at::Tensor& x_TD, const SequenceLayout& layout, const at::Tensor& chosen_TK) const;

 private:
  /// Marks with -1 what an expert has no room for: first choices of all tokens of a sequence take their places in
  /// token order before any second choice does (arXiv 2006.16668, algorithm 1).
  at::Tensor drop_over_capacity(const at::Tensor& chosen_TK, const SequenceLayout& layout) const;

  const RouterConfig config_;
  at::Tensor centroid_ED_;
};

}  // namespace granule
