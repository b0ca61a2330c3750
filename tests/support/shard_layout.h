#pragma once
// Ranks as threads in a data x expert layout, and a set of parameters with a value of its own for every
// element: what tests of sharded state and checkpoints start from.

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "optim/flat_parameters.h"

namespace granule {

/// One rank of a layout; expert ranks lie side by side, as in Mesh.
struct LayoutRank {
  ShardGroups groups;
  int expert_rank;
  int expert_size;
};

/// Runs `body` on data x expert threads; the first failure of any is thrown again here.
void run_layout(int data, int expert, const std::function<void(const LayoutRank&)>& body);

/// Three dense tensors (one of which does not decay) and two stacks of 4 experts, of sizes that slices cut
/// anywhere; this rank's share of them. Values follow from (seed, piece name, element) alone.
std::vector<PlacedParameter> coded_parameters(const LayoutRank& rank, uint64_t seed,
                                              at::ScalarType dtype = at::kFloat);

/// Writes this rank's share of a gradient whose sum over ranks is the same in every layout of up to 4 ranks,
/// to the last bit: multiples of 1/16.
void write_coded_gradients(const std::vector<PlacedParameter>& parameters, const LayoutRank& rank,
                           uint64_t seed);

/// Calls back with every piece and its elements as a flat view of the parameter.
void for_each_piece(const std::vector<PlacedParameter>& parameters,
                    const std::function<void(const ParameterPiece&, const at::Tensor& values)>& body);

}  // namespace granule
