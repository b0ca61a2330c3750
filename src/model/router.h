#pragma once
// The router of a fine-grained MoE layer: which K of E routed experts a token goes to, and with which weight.
// It knows neither ranks nor experts' weights; balance losses read its result.

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <memory>

#include "model/forward_context.h"
#include "model/router_config.h"

namespace granule {

/// The decision for T tokens, best choice first.
struct Routing {
  at::Tensor chosen_TK;  ///< int64, in [0, E), -1 for padding; of equal scores the lower id wins
  at::Tensor expert_TK;  ///< the same after capacity: -1 where the expert had no room left
  at::Tensor
      counted_TK;       ///< what balance losses count: the choice, but without selection bias and its groups
  at::Tensor merit_TE;  ///< fp32, no gradient: what the choice went by, scores with selection bias, -inf
                        ///< outside a token's groups; undefined if the router has no preferences
  at::Tensor gate_TK;   ///< fp32, differentiable: weight of each chosen expert's output
  at::Tensor
      probability_TE;   ///< fp32, differentiable: scores over all experts, a distribution for each token
  at::Tensor logit_TE;  ///< fp32, differentiable: what scores are made of; undefined if the router has none
};

class Router : public torch::nn::Module {
 public:
  /// Padding is routed nowhere. `chosen_TK`, if defined, is a former result's `chosen_TK`, taken instead of
  /// choosing anew (recomputation).
  virtual Routing route(const at::Tensor& x_TD, const SequenceLayout& layout,
                        const at::Tensor& chosen_TK) const = 0;
};

/// The router that `config` asks for, its parameters of `options`.
std::shared_ptr<Router> make_router(const RouterConfig& config, int64_t vocab_size, int64_t hidden_size,
                                    at::TensorOptions options);

}  // namespace granule
