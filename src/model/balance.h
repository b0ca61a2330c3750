#pragma once
// Balance losses: what keeps the router from sending everything to a few experts. Each is a scalar of a
// layer's load; their gradient flows through the probabilities, counts are constants.

#include <ATen/core/Tensor.h>

#include <string>

#include "model/expert_load.h"
#include "model/forward_context.h"
#include "model/router.h"

namespace granule {

struct BalanceConfig {
  std::string moe_router_load_balancing_type = "seq_aux_loss";
  double moe_aux_loss_coeff = 0.0;
  int64_t n_device_groups = 0;
  double moe_device_aux_loss_coeff = 0.0;
  double moe_comm_aux_loss_coeff = 0.0;
  double moe_z_loss_coeff = 0.0;

  void visit(auto&& field) {
    field("moe_router_load_balancing_type", moe_router_load_balancing_type,
          {.choices = {"none", "aux_loss", "seq_aux_loss", "global_aux_loss"}},
          "over which tokens balance losses take loads: each sequence (seq_aux_loss, the paper's), a rank's "
          "micro-batch (aux_loss), the global batch as far as it is known (global_aux_loss); none: no "
          "balance loss");
    field("moe_aux_loss_coeff", moe_aux_loss_coeff, {.min = 0},
          "coefficient of the expert-level balance loss; the layers' losses are summed");
    field("n_device_groups", n_device_groups, {.min = 0},
          "D, groups of neighbouring experts of the device-level loss, whatever the layout of the ranks; 0: "
          "none");
    field("moe_device_aux_loss_coeff", moe_device_aux_loss_coeff, {.min = 0},
          "coefficient of the device-level balance loss");
    field("moe_comm_aux_loss_coeff", moe_comm_aux_loss_coeff, {.min = 0},
          "coefficient of the communication loss over the n_group groups of grouped routing");
    field("moe_z_loss_coeff", moe_z_loss_coeff, {.min = 0},
          "coefficient of the router z-loss: the mean over tokens of logsumexp(logits)^2");
  }

  /// Throws ConfigError for coefficients that mean nothing with this router.
  void check(const RouterConfig& router) const;
  /// Throws ConfigError for coefficients of losses that there are none of.
  void check_training() const;

  LoadScope scope() const {
    return moe_router_load_balancing_type == "aux_loss" || is_global() ? LoadScope::kBatch
                                                                       : LoadScope::kSequence;
  }
  /// Whether loads are those of the batch of all ranks and micro-batches.
  bool is_global() const { return moe_router_load_balancing_type == "global_aux_loss"; }
};

/// sum_i f_i P_i (arXiv 2401.06066 eq. 12-14). Even: 1.
at::Tensor expert_balance_loss(const ExpertLoad& load);

/// sum over `num_groups` groups of the mean f of a group times the sum of its P (arXiv 2401.06066 eq. 15-17).
/// Even: 1.
at::Tensor device_balance_loss(const ExpertLoad& load, int64_t num_groups);

/// sum over groups of (tokens sent to the group) * G / (M T) times the sum of its P (arXiv 2405.04434, eq.
/// 29-31). 1 if even and every token reaches exactly `max_groups` = M groups; less if tokens reach fewer.
at::Tensor communication_balance_loss(const ExpertLoad& load, int64_t max_groups);

/// `token_weight` times the sum over tokens of logsumexp(logits)^2 (arXiv 2202.08906, eq. 5). (ln E)^2 at
/// zero logits.
at::Tensor router_z_loss(const at::Tensor& logit_TE, const SequenceLayout& layout, double token_weight);

/// A layer's losses without coefficients, weighed by the context; undefined where the config does not ask for
/// one.
struct BalanceLosses {
  at::Tensor expert;  ///< defined whenever `count_sC` is
  at::Tensor device;
  at::Tensor communication;
  at::Tensor z;
};

/// What `balance` asks for; `count_sC` are the counts behind it, none if undefined.
BalanceLosses balance_losses(const BalanceConfig& balance, const RouterConfig& router, const Routing& routing,
                             const ForwardContext& context, const at::Tensor& count_sC);

/// Sum of coefficient x loss; undefined if nothing is asked for.
at::Tensor total_loss(const BalanceConfig& balance, const BalanceLosses& losses);

}  // namespace granule
