#pragma once
// How probable a model finds given tokens after others: what every evaluation task but generation asks.

#include <cstdint>
#include <vector>

#include "comm/communicator.h"
#include "model/transformer.h"

namespace granule {

struct LikelihoodRequest {
  std::vector<int64_t> context;       ///< one id at least
  std::vector<int64_t> continuation;  ///< what is scored; one id at least, `max_length` at most
};

struct Likelihood {
  double log_probability = 0;  ///< nats, summed over the continuation
  bool greedy = false;         ///< each of its tokens was the likeliest
};

struct ScoringLimits {
  int64_t max_length =
      0;  ///< tokens the model reads at once; of a longer request the first ones are left out
  int64_t batch_size = 0;  ///< rows a rank runs at once
};

/// One answer for each request, in order. All ranks of `replica` (data x expert) give the same requests and
/// get the same answers; batches are spread over them and do not depend on their number. Requests that make
/// the model read the same tokens share a row. Collective.
std::vector<Likelihood> score(const Transformer& model, Communicator& replica,
                              const std::vector<LikelihoodRequest>& requests, const ScoringLimits& limits);

}  // namespace granule
