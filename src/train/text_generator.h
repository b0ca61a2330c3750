#pragma once
// One text at a time from a model, token by token, all ranks at it together.

#include <functional>
#include <span>
#include <vector>

#include "model/generation_cache.h"
#include "model/transformer.h"
#include "train/sampler.h"

namespace granule {

/// What a prompt has in common with the text before it is not computed again. Ranks give the same arguments
/// and get the same tokens (rank 0 chooses); `ranks` must hold the model's expert group.
class TextGenerator {
 public:
  /// Prompt and answer together have at most `capacity` tokens.
  TextGenerator(const Transformer& model, Communicator& ranks, int64_t capacity);

  /// Goes on from `prompt` (one id at least) until `max_tokens`, the capacity, one of `stop_ids` or until
  /// `on_token` answers false on rank 0; it sees every new id but the stop id. Collective.
  void generate(const std::vector<int64_t>& prompt, const SamplingConfig& config,
                std::span<const int64_t> stop_ids, const std::function<bool(int64_t)>& on_token);

 private:
  at::Tensor read_prompt(const std::vector<int64_t>& prompt);

  const Transformer& model_;
  Communicator& ranks_;
  GenerationCache cache_;
  std::vector<int64_t> seen_;  // whose keys and values the cache holds
};

}  // namespace granule
