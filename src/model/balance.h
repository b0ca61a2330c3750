#pragma once
// Balance losses: what keeps the router from sending everything to a few experts. Their gradient flows through the
// scores; the counts are constants. Padding never counts.

#include <ATen/core/Tensor.h>

#include <string>

#include "model/forward_context.h"

namespace granule {

struct RouterConfig;
struct Routing;

struct BalanceConfig {
  std::string moe_router_load_balancing_type = "seq_aux_loss";
  double moe_aux_loss_coeff = 0.0;

  void visit(auto&& field) {
    field("moe_router_load_balancing_type", moe_router_load_balancing_type, {.choices = {"none", "seq_aux_loss"}},
          "expert-level balance loss per sequence (the paper's), or none");
    field("moe_aux_loss_coeff", moe_aux_loss_coeff, {.min = 0},
          "coefficient of the expert-level balance loss; the layers' losses are summed");
  }

  void check(const RouterConfig& router) const;
  bool has_loss() const { return moe_router_load_balancing_type != "none" && moe_aux_loss_coeff > 0; }
};

/// sum over sequences of sum_i f_i P_i (arXiv 2401.06066 eq. 12-14), a differentiable scalar; for one sequence of
/// T tokens f_i = E / (K T) * tokens that chose i (dropped or not), P_i = mean probability of i. Uniform routing
/// gives 1 per sequence.
at::Tensor sequence_balance_loss(const Routing& routing, const SequenceLayout& layout);

}  // namespace granule
