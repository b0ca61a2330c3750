#pragma once
// How fast a tokenizer encodes, on one thread.

#include <string>
#include <vector>

#include "data/tokenizer.h"

namespace granule {

struct TokenizerBenchmark {
  int64_t num_bytes = 0;
  int64_t num_tokens = 0;
  std::vector<double> seconds;  ///< of each pass over all texts

  /// By the median pass.
  double megabytes_per_second() const;
};

/// Encodes each of the texts, all of them `passes` times, each time by a tokenizer that has seen no text yet.
TokenizerBenchmark benchmark_tokenizer(const std::string& path, const std::vector<std::string>& texts,
                                       int64_t passes);

}  // namespace granule
