#pragma once
// What one router did in one forward pass, as numbers that can be summed over micro-batches and ranks.

#include <ATen/core/Tensor.h>

#include <vector>

#include "comm/communicator.h"
#include "model/balance.h"
#include "model/forward_context.h"
#include "model/router.h"

namespace granule {

/// Values of a layer's balance losses without coefficients, weighed by the context: their sum over the
/// micro-batches and ranks of a step is the value of the global batch. 0 where a loss is not in use.
struct BalanceValues {
  double expert = 0;  ///< always there in a step; 1 = even
  double device = 0;
  double communication = 0;
  double z = 0;
};

/// Padding is not counted. The sums stay where the router computes, so that no layer waits for a device; what
/// asks for a number waits.
struct RoutingStatistics {
  at::Tensor count_C;  ///< int64 [2 E + 1]: `count_E`, `chosen_E` and the tokens
  at::Tensor sum_5;    ///< fp64: entropy and balance losses

  at::Tensor count_E() const;   ///< int64: tokens each expert was chosen for and took
  at::Tensor chosen_E() const;  ///< int64: tokens each expert was chosen for, dropped or not
  int64_t num_tokens() const;
  double entropy_sum() const;  ///< nats, over tokens, of the scores normalised to 1
  BalanceValues balance() const;

 private:
  int64_t num_experts() const { return (count_C.numel() - 1) / 2; }
};

/// Of one pass of a layer's router. `losses` as the layer adds them to the objective, each undefined if not in use.
RoutingStatistics summarize(const Routing& routing, const SequenceLayout& layout,
                            const BalanceLosses& losses);

/// `part` added to `total`, layer by layer; an empty `total` becomes `part`.
void add_statistics(std::vector<RoutingStatistics>& total, const std::vector<RoutingStatistics>& part);

/// Sums over the ranks of `group`, layer by layer, in host memory.
void reduce_statistics(std::vector<RoutingStatistics>& statistics, Communicator& group);

}  // namespace granule
