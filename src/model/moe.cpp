#include "model/moe.h"

#include <ATen/ATen.h>

#include "model/routing_statistics.h"

namespace granule {

Moe::Moe(const ModelConfig& config, Communicator& expert_group, at::TensorOptions options,
         at::TensorOptions router_options)
    : balance_(config.balance) {
  if (config.router.n_routed_experts > 0) {
    dispatcher_.emplace(expert_group, config.router.n_routed_experts);
    router_ = register_module("gate", std::make_shared<Router>(config.router, config.hidden_size, router_options));
    experts_ = register_module("experts",
                               std::make_shared<FeedForward>(dispatcher_->num_local_experts(), config.hidden_size,
                                                             config.moe_intermediate_size, options));
  }
  if (config.n_shared_experts > 0) {
    shared_ = register_module("shared_experts",
                              std::make_shared<FeedForward>(1, config.hidden_size,
                                                            config.n_shared_experts * config.moe_intermediate_size,
                                                            options));
  }
}

MoeOutput Moe::forward(const at::Tensor& x_TD, const ForwardContext& context, const at::Tensor& replay_TK) const {
  MoeOutput output;
  if (router_) {
    const auto routing = router_->route(x_TD, context.layout, replay_TK);
    output.chosen_TK = routing.chosen_TK;
    output.y_TD = routed_experts(x_TD, routing);
    output.balance_loss = balance_loss(routing, context);
    if (context.statistics != nullptr) context.statistics->push_back(summarize(routing, context.layout));
  }
  if (shared_) {
    const auto shared_TD = shared_->forward(x_TD);
    output.y_TD = output.y_TD.defined() ? output.y_TD + shared_TD : shared_TD;
  }
  return output;
}

at::Tensor Moe::routed_experts(const at::Tensor& x_TD, const Routing& routing) const {
  const auto plan = dispatcher_->plan(routing.expert_TK);
  const auto x_RD = dispatcher_->dispatch(x_TD, plan);
  const auto y_RD = experts_->forward(x_RD, plan.by_local_expert);
  return dispatcher_->combine(y_RD, plan, routing.gate_TK);
}

at::Tensor Moe::balance_loss(const Routing& routing, const ForwardContext& context) const {
  if (!balance_.has_loss() || context.sequence_weight == 0) return {};
  return sequence_balance_loss(routing, context.layout) * (balance_.moe_aux_loss_coeff * context.sequence_weight);
}

}  // namespace granule
