#pragma once
// The DeepSeekMoE layer (arXiv 2401.06066, eq. 9-11, without the residual): shared experts that every token
// uses plus K of E routed ones, weighted by their gates.

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <memory>
#include <optional>

#include "comm/communicator.h"
#include "model/dispatcher.h"
#include "model/feed_forward.h"
#include "model/forward_context.h"
#include "model/model_config.h"
#include "model/router.h"

namespace granule {

/// What a router decided, constant for gradients: a second run of a layer (recomputation) takes it from the
/// first.
struct RoutingDecision {
  at::Tensor chosen_TK;  ///< undefined without a router
  at::Tensor count_sC;   ///< what balance losses counted (count_choices); undefined if there was none
};

struct MoeOutput {
  at::Tensor y_TD;
  at::Tensor
      balance_loss;  ///< scalar, with coefficients and the context's weights; undefined if there is none
  RoutingDecision decision;
};

class Moe : public torch::nn::Module {
 public:
  /// The routed experts are split over `expert_group`. `router_options` give the router's own dtype.
  Moe(const ModelConfig& config, Communicator& expert_group, at::TensorOptions options,
      at::TensorOptions router_options);

  /// `replay` is empty, or a former decision to route by. Collective over the expert group, and over the
  /// ranks of `context.batch_counts` if the balance losses are those of the global batch and nothing is
  /// replayed.
  MoeOutput forward(const at::Tensor& x_TD, const ForwardContext& context,
                    const RoutingDecision& replay) const;

 private:
  Routing route(const at::Tensor& x_TD, const ForwardContext& context, const at::Tensor& chosen_TK) const;
  at::Tensor routed_experts(const at::Tensor& x_TD, const Routing& routing,
                            const std::optional<BatchPlace>& place) const;
  at::Tensor balance_counts(const Routing& routing, const ForwardContext& context) const;

  const RouterConfig router_config_;
  const BalanceConfig balance_;
  std::shared_ptr<Router> router_;        // with routed experts
  std::optional<Dispatcher> dispatcher_;  // with routed experts
  std::shared_ptr<FeedForward> experts_;  // with routed experts
  std::shared_ptr<FeedForward> shared_;   // with shared experts
};

}  // namespace granule
