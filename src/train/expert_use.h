#pragma once
// Which experts a data set's tokens go to, layer by layer: load, probability, weight, and which experts work
// together.

#include <ATen/core/Tensor.h>

#include <vector>

#include "comm/communicator.h"
#include "data/loader.h"
#include "model/transformer.h"

namespace granule {

/// One routed layer over all tokens of a data set; padding is not counted. Counts are exact.
struct ExpertUse {
  int64_t num_tokens = 0;
  at::Tensor count_E;        ///< int64: tokens that chose each expert
  at::Tensor pair_EE;        ///< int64: tokens that chose both; the diagonal is count_E
  at::Tensor probability_E;  ///< fp64: mean routing probability
  at::Tensor gate_E;         ///< fp64: mean gate of the tokens that chose it; 0 if none did
};

/// One ExpertUse for each of the model's routed_layers. Reads all of `loader`, as evaluate does. Collective.
std::vector<ExpertUse> expert_use(const Transformer& model, Communicator& replica, Loader& loader);

}  // namespace granule
