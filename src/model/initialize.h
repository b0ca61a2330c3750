#pragma once
// Global names and first values of a model's parameters.

#include <torch/nn/module.h>

#include <string_view>
#include <vector>

#include "comm/placement.h"

namespace granule {

/// Whether a parameter or module of that name belongs to routed experts.
bool is_routed(std::string_view name);

/// The parameters of `model` as Hugging Face names them: a stack `...mlp.experts.gate_proj.weight` [e, F, D]
/// becomes the pieces `...mlp.experts.<id>.gate_proj.weight` [F, D], ids from `first_local_expert`; a stack
/// of one outside `experts` is one piece [F, D].
std::vector<PlacedParameter> place_parameters(const torch::nn::Module& model, int64_t first_local_expert);

/// Norms 1, adapters as PEFT has them (A uniform in +-1/sqrt(in), B 0), all else normal with standard deviation
/// `std`; what no gradient moves keeps the value it was made with; a value depends on (seed, piece name,
/// element) alone and is rounded from fp32 (so that bf16 parameters start from the rounded fp32 ones).
void initialize_parameters(const std::vector<PlacedParameter>& parameters, uint64_t seed, double std);

}  // namespace granule
