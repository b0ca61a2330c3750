#pragma once
// Greedy text without a cache, for tests of generation.

#include <cstdint>
#include <vector>

#include "model/transformer.h"

namespace granule {

/// The `count` likeliest tokens after `prompt`, each from a forward pass over all before it.
std::vector<int64_t> naive_continuation(const Transformer& model, std::vector<int64_t> prompt, int64_t count);

}  // namespace granule
