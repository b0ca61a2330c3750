#include "model/moe.h"

#include <ATen/ATen.h>

#include "model/batch_counts.h"
#include "model/expert_load.h"
#include "model/routing_intervention.h"
#include "model/routing_statistics.h"

namespace granule {

Moe::Moe(const ModelConfig& config, Communicator& expert_group, at::TensorOptions options,
         at::TensorOptions router_options)
    : router_config_(config.router), balance_(config.balance) {
  if (config.router.n_routed_experts > 0) {
    dispatcher_.emplace(expert_group, config.router.n_routed_experts);
    router_ = register_module(
        "gate", make_router(config.router, config.vocab_size, config.hidden_size, router_options));
    experts_ = register_module(
        "experts", std::make_shared<FeedForward>(dispatcher_->num_local_experts(), config.hidden_size,
                                                 config.moe_intermediate_size, options));
  }
  if (config.n_shared_experts > 0) {
    shared_ = register_module(
        "shared_experts",
        std::make_shared<FeedForward>(1, config.hidden_size,
                                      config.n_shared_experts * config.moe_intermediate_size, options));
  }
}

MoeOutput Moe::forward(const at::Tensor& x_TD, const ForwardContext& context,
                       const RoutingDecision& replay) const {
  MoeOutput output;
  if (router_) {
    const auto routing = route(x_TD, context, replay.chosen_TK);
    output.y_TD = routed_experts(x_TD, routing, context.place);
    output.decision = {routing.chosen_TK,
                       replay.count_sC.defined() ? replay.count_sC : balance_counts(routing, context)};
    const auto losses = balance_losses(balance_, router_config_, routing, context, output.decision.count_sC);
    output.balance_loss = total_loss(balance_, losses);
    if (context.statistics != nullptr)
      context.statistics->push_back(summarize(routing, context.layout, losses));
    if (context.routings != nullptr) context.routings->push_back(routing);
  }
  if (shared_ && (context.intervention.shared_experts || !router_)) {
    const auto shared_TD = shared_->forward(x_TD, context.place);
    output.y_TD = output.y_TD.defined() ? output.y_TD + shared_TD : shared_TD;
  }
  return output;
}

Routing Moe::route(const at::Tensor& x_TD, const ForwardContext& context, const at::Tensor& chosen_TK) const {
  const auto routing = router_->route(x_TD, context.layout, chosen_TK);
  if (!context.intervention.reroutes() || chosen_TK.defined()) return routing;
  return router_->route(x_TD, context.layout, changed_choice(routing, context.intervention));
}

at::Tensor Moe::routed_experts(const at::Tensor& x_TD, const Routing& routing,
                               const std::optional<BatchPlace>& place) const {
  const auto plan = dispatcher_->plan(routing.expert_TK);
  const auto x_RD = dispatcher_->dispatch(x_TD, plan);
  const auto gate_N = dispatcher_->dispatch_gates(routing.gate_TK, plan);
  return dispatcher_->combine(experts_->forward(x_RD, plan.by_local_expert, gate_N, place), plan);
}

at::Tensor Moe::balance_counts(const Routing& routing, const ForwardContext& context) const {
  if (context.sequence_weight == 0) return {};
  const int64_t num_groups = router_config_.is_grouped() ? router_config_.n_group : 0;
  const auto count_sC = count_choices(routing, context.layout, balance_.scope(), num_groups);
  const bool of_all_ranks = balance_.is_global() && context.batch_counts != nullptr;
  return of_all_ranks ? context.batch_counts->add(count_sC) : count_sC;
}

}  // namespace granule
