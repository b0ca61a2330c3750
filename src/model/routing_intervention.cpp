#include "model/routing_intervention.h"

#include <ATen/ATen.h>

#include "base/check.h"
#include "ops/top_k.h"

namespace granule {

at::Tensor changed_choice(const Routing& routing, const RoutingIntervention& intervention) {
  CHECK(routing.merit_TE.defined(), "a router without preferences cannot be changed");
  const int64_t K = intervention.num_chosen > 0 ? intervention.num_chosen : routing.chosen_TK.size(1);
  const auto ranked_TR = top_k_ids(routing.merit_TE, intervention.num_disabled + K);
  const auto is_padding_T1 = routing.chosen_TK.narrow(1, 0, 1).lt(0);
  return ranked_TR.narrow(1, intervention.num_disabled, K).masked_fill(is_padding_T1, -1);
}

void check_intervention(const RouterConfig& config, const RoutingIntervention& intervention) {
  if (!intervention.reroutes()) return;
  if (config.is_hash()) {
    throw ConfigError(
        "model.moe_router_type", config.moe_router_type,
        "ranks no experts, so none can be disabled or added; a learned router (topk) is needed");
  }
  const int64_t K = intervention.num_chosen > 0 ? intervention.num_chosen : config.num_experts_per_tok;
  const int64_t reachable = config.topk_group * (config.n_routed_experts / config.n_group);
  if (intervention.num_disabled + K > reachable) {
    throw ConfigError("model.n_routed_experts", config.n_routed_experts, "leaves ",
                      reachable - intervention.num_disabled, " experts to a token when ",
                      intervention.num_disabled, " are disabled, but it is to use ", K);
  }
}

}  // namespace granule
