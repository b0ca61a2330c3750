#pragma once
// Many texts from a model, batch by batch, spread over the ranks.

#include <functional>
#include <vector>

#include "model/transformer.h"
#include "train/sampler.h"

namespace granule {

struct BatchGeneration {
  SamplingConfig sampling;
  int64_t batch_size = 8;  ///< texts a rank writes at once
  std::vector<int64_t> stop_ids;
  /// If set, asked on the rank that writes a text after each new id (the last of `answer`): false ends it.
  std::function<bool(size_t text, const std::vector<int64_t>& answer)> goes_on;
};

/// What follows each prompt (one id at least), without stop ids, in the order of prompts. Prompts are spread
/// over `replica` (data x expert), which all give the same ones and get all answers. Collective.
std::vector<std::vector<int64_t>> generate_all(const Transformer& model, Communicator& replica,
                                               const std::vector<std::vector<int64_t>>& prompts,
                                               const BatchGeneration& generation);

}  // namespace granule
