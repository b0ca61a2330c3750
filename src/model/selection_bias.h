#pragma once
// Balance without a loss (arXiv 2408.15664, 2412.19437): a bias on each expert's score, seen only when
// choosing, that after each step moves by a fixed rate against the expert's load.

#include <torch/nn/module.h>

#include <vector>

#include "model/routing_statistics.h"

namespace granule {

/// Name of the bias within its router, and so the end of its global name (Hugging Face's). A parameter
/// without gradient: optimizer and weight decay leave it alone, checkpoints hold it.
inline constexpr char kSelectionBias[] = "e_score_correction_bias";

/// b_i += rate * sign(mean load - load_i), the load being the choices, dropped ones too, of the whole global
/// batch; `routing` has one entry for each routed layer. The same on all ranks. Models without bias stay as
/// they are.
void update_selection_bias(const torch::nn::Module& model, const std::vector<RoutingStatistics>& routing,
                           double rate);

}  // namespace granule
