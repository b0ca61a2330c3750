#pragma once
// Activation recomputation: a block keeps its input and its router's decision, and runs again in backward.
// The decision is replayed, never made anew, so that forward and backward see the same experts also where
// scores nearly tie.

#include "model/block.h"

namespace granule {

/// As `block.forward(x_TD, context, {})`, in gradients too. `block` must outlive the backward pass.
MoeOutput recomputed_forward(const Block& block, const at::Tensor& x_TD, const ForwardContext& context);

}  // namespace granule
