#include "model/balance.h"

#include <ATen/ATen.h>

#include "base/check.h"

namespace granule {

void BalanceConfig::check(const RouterConfig& router) const {
  const auto needs_scores = [&](const char* key, double coefficient) {
    if (coefficient == 0) return;
    if (router.n_routed_experts == 0) {
      throw ConfigError(key, coefficient, "needs routed experts, but model.n_routed_experts = 0");
    }
    if (router.is_hash())
      throw ConfigError(key, coefficient, "means nothing with model.moe_router_type = hash");
  };
  needs_scores("model.moe_aux_loss_coeff", moe_aux_loss_coeff);
  needs_scores("model.moe_device_aux_loss_coeff", moe_device_aux_loss_coeff);
  needs_scores("model.moe_comm_aux_loss_coeff", moe_comm_aux_loss_coeff);
  needs_scores("model.moe_z_loss_coeff", moe_z_loss_coeff);
  if (n_device_groups > 0 && router.n_routed_experts % n_device_groups != 0) {
    throw ConfigError("model.n_device_groups", n_device_groups,
                      "must divide model.n_routed_experts = ", router.n_routed_experts);
  }
  if (moe_device_aux_loss_coeff > 0 && n_device_groups < 2) {
    throw ConfigError("model.moe_device_aux_loss_coeff", moe_device_aux_loss_coeff,
                      "balances groups, but model.n_device_groups = ", n_device_groups);
  }
  if (moe_comm_aux_loss_coeff > 0 && !router.is_grouped()) {
    throw ConfigError("model.moe_comm_aux_loss_coeff", moe_comm_aux_loss_coeff,
                      "balances the groups of grouped routing, but model.n_group = ", router.n_group);
  }
}

void BalanceConfig::check_training() const {
  const auto needs_loads = [&](const char* key, double coefficient) {
    if (coefficient == 0 || moe_router_load_balancing_type != "none") return;
    throw ConfigError(key, coefficient,
                      "means nothing with model.moe_router_load_balancing_type = none; set it to 0");
  };
  needs_loads("model.moe_aux_loss_coeff", moe_aux_loss_coeff);
  needs_loads("model.moe_device_aux_loss_coeff", moe_device_aux_loss_coeff);
  needs_loads("model.moe_comm_aux_loss_coeff", moe_comm_aux_loss_coeff);
}

namespace {

// Experts' probabilities summed over each of `num_groups` groups.
at::Tensor group_probability(const ExpertLoad& load, int64_t num_groups) {
  return load.probability_sE.unflatten(1, {num_groups, -1}).sum(2);
}

}  // namespace

at::Tensor expert_balance_loss(const ExpertLoad& load) {
  return (load.frequency_sE * load.probability_sE).sum();
}

at::Tensor device_balance_loss(const ExpertLoad& load, int64_t num_groups) {
  return (load.frequency_sE.unflatten(1, {num_groups, -1}).mean(2) * group_probability(load, num_groups))
      .sum();
}

at::Tensor communication_balance_loss(const ExpertLoad& load, int64_t max_groups) {
  return (load.reach_sG / static_cast<double>(max_groups) * group_probability(load, load.reach_sG.size(1)))
      .sum();
}

at::Tensor router_z_loss(const at::Tensor& logit_TE, const SequenceLayout& layout, double token_weight) {
  const auto square_T = at::logsumexp(logit_TE, 1).square();
  return square_T.masked_fill(~layout.valid_T, 0).sum() * token_weight;
}

BalanceLosses balance_losses(const BalanceConfig& balance, const RouterConfig& router, const Routing& routing,
                             const ForwardContext& context, const at::Tensor& count_sC) {
  BalanceLosses losses;
  if (!count_sC.defined()) return losses;
  const bool any = balance.moe_router_load_balancing_type != "none";
  const auto load = expert_load(routing, context, balance.scope(), count_sC);
  losses.expert = expert_balance_loss(load);
  if (any && balance.moe_device_aux_loss_coeff > 0)
    losses.device = device_balance_loss(load, balance.n_device_groups);
  if (any && balance.moe_comm_aux_loss_coeff > 0)
    losses.communication = communication_balance_loss(load, router.topk_group);
  if (balance.moe_z_loss_coeff > 0)
    losses.z = router_z_loss(routing.logit_TE, context.layout, context.token_weight);
  return losses;
}

at::Tensor total_loss(const BalanceConfig& balance, const BalanceLosses& losses) {
  const double expert_coefficient =
      balance.moe_router_load_balancing_type == "none" ? 0 : balance.moe_aux_loss_coeff;
  at::Tensor total;
  const auto add = [&](const at::Tensor& loss, double coefficient) {
    if (!loss.defined() || coefficient == 0) return;
    total = total.defined() ? total + loss * coefficient : loss * coefficient;
  };
  add(losses.expert, expert_coefficient);
  add(losses.device, balance.moe_device_aux_loss_coeff);
  add(losses.communication, balance.moe_comm_aux_loss_coeff);
  add(losses.z, balance.moe_z_loss_coeff);
  return total;
}

}  // namespace granule
