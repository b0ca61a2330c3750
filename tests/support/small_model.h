#pragma once
// Small models for tests, filled from a seed.

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

#include "comm/communicator.h"
#include "model/model_config.h"
#include "model/transformer.h"

namespace granule {

/// The communicator of a job of one rank.
Communicator& alone();

/// 3 layers, the first dense, D 16, 8 routed experts of which 3 are chosen, 1 shared, vocabulary 32.
ModelConfig small_config();

/// DeepSeek-V3's router: sigmoid, selection bias, groups by the sum of their best two, normalised gates.
void as_v3(RouterConfig& router);

/// DeepSeekMoE 16B as it was published.
ModelConfig published_16b_config();

/// Normal values with standard deviation `std` for every parameter, from its name.
void fill_from_seed(torch::nn::Module& module, uint64_t seed, double std = 0.3);

/// The parameters that `model` holds, under their global names, copied.
std::map<std::string, at::Tensor> pieces_of(const Transformer& model);

/// Reproducible ids in [0, vocab).
at::Tensor some_tokens(at::IntArrayRef shape, int64_t vocab, uint64_t seed);

}  // namespace granule
