#pragma once
// Text from a model, token by token.

#include <functional>
#include <vector>

#include "base/random.h"
#include "model/transformer.h"

namespace granule {

struct SamplingConfig {
  double temperature = 0.8;  ///< 0: always the likeliest token
  int64_t top_k = 0;         ///< only the k likeliest; 0: all
  double top_p = 1.0;        ///< only the likeliest that together reach this probability
  int64_t max_tokens = 200;
  uint64_t seed = 1234;
};

/// Chooses the next id from logits [V]; the n-th choice depends on (seed, n) and the logits alone.
class Sampler {
 public:
  /// Throws ConfigError for values out of range.
  explicit Sampler(const SamplingConfig& config);
  int64_t choose(const at::Tensor& logit_V);

 private:
  SamplingConfig config_;
  RandomStream stream_;
  uint64_t num_chosen_ = 0;
};

/// Goes on from `prompt` (at least one id) until `max_tokens`, `stop_id` (-1: none) or `on_token` answers false;
/// `on_token` sees every new id but the stop id. Collective over `ranks`, which all give the same arguments and get
/// the same tokens (rank 0 chooses); it must hold the model's expert group.
void generate(const Transformer& model, Communicator& ranks, const std::vector<int64_t>& prompt, const SamplingConfig& config,
              int64_t stop_id, const std::function<bool(int64_t)>& on_token);

}  // namespace granule
