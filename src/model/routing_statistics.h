#pragma once
// What one router did in one forward pass, as numbers that can be summed over micro-batches and ranks.

#include "model/balance.h"
#include "model/forward_context.h"
#include "model/router.h"

namespace granule {

RoutingStatistics summarize(const Routing& routing, const SequenceLayout& layout,
                            const BalanceLosses& losses);

/// `part` added to `total`.
void add_statistics(RoutingStatistics& total, const RoutingStatistics& part);

}  // namespace granule
