#pragma once
// What one router did in one forward pass, as counts that can be summed over micro-batches and ranks.

#include "model/forward_context.h"
#include "model/router.h"

namespace granule {

RoutingStatistics summarize(const Routing& routing, const SequenceLayout& layout);

}  // namespace granule
