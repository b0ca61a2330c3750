#pragma once
// What the analyses of arXiv 2401.06066, section 4.5, do to a trained model's routing. The routers do not
// know of it: a changed choice is handed to them as if it were a former one.

#include <ATen/core/Tensor.h>

#include "model/forward_context.h"
#include "model/router.h"
#include "model/router_config.h"

namespace granule {

/// The K' experts of each token that come first in its ranking after the first `num_disabled`; padding
/// chooses none. The ranking is that of `merit_TE`, so a model that limits a token to groups keeps its
/// groups. Gates follow from the choice as ever: probabilities are those over all experts, and are not made
/// anew for those that are left.
at::Tensor changed_choice(const Routing& routing, const RoutingIntervention& intervention);

/// Throws ConfigError if the router has no ranking (hash), or if fewer experts are left than a token is to
/// use.
void check_intervention(const RouterConfig& config, const RoutingIntervention& intervention);

}  // namespace granule
