#pragma once
// The DeepSeekMoE layer (arXiv 2401.06066, eq. 9-11, without the residual): shared experts that every token uses plus
// K of E routed ones, weighted by their gates.

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

struct MoeOutput {
  at::Tensor y_TD;
  at::Tensor balance_loss;  ///< scalar with coefficient and sequence weight; undefined if there is none
  at::Tensor chosen_TK;     ///< the router's choice, to replay; undefined without a router
};

class Moe : public torch::nn::Module {
 public:
  /// The routed experts are split over `expert_group`. `router_options` give the router's own dtype.
  Moe(const ModelConfig& config, Communicator& expert_group, at::TensorOptions options,
      at::TensorOptions router_options);

  /// `replay_TK`, if defined, is a former `chosen_TK` to route by. Collective over the expert group.
  MoeOutput forward(const at::Tensor& x_TD, const ForwardContext& context, const at::Tensor& replay_TK) const;

 private:
  at::Tensor routed_experts(const at::Tensor& x_TD, const Routing& routing) const;
  at::Tensor balance_loss(const Routing& routing, const ForwardContext& context) const;

  BalanceConfig balance_;
  std::shared_ptr<Router> router_;        // with routed experts
  std::optional<Dispatcher> dispatcher_;  // with routed experts
  std::shared_ptr<FeedForward> experts_;  // with routed experts
  std::shared_ptr<FeedForward> shared_;   // with shared experts
};

}  // namespace granule
