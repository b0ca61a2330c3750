#pragma once
// Choosing the next token of a text.

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "base/random.h"

namespace granule {

struct SamplingConfig {
  double temperature = 0.8;  ///< 0: always the likeliest token
  int64_t top_k = 0;         ///< only the k likeliest; 0: all
  double top_p = 1.0;        ///< only the likeliest that together reach this probability
  int64_t max_tokens = 200;
  uint64_t seed = 1234;
};

/// Throws ConfigError for values out of range.
void check_sampling(const SamplingConfig& config);

/// Chooses the next id from logits [V]; the n-th choice of the i-th text depends on (seed, i, n) and the
/// logits alone.
class Sampler {
 public:
  /// `config` has been checked.
  explicit Sampler(const SamplingConfig& config, size_t text = 0);
  int64_t choose(const at::Tensor& logit_V);

 private:
  SamplingConfig config_;
  RandomStream stream_;
  uint64_t next_draw_;
};

}  // namespace granule
