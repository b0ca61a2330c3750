#pragma once
// How much work the phases of a training step are, to hold their times against the machine's limits.

#include <cstdint>
#include <map>
#include <string>

#include "model/model_config.h"
#include "model/model_size.h"

namespace granule {

struct PhaseWork {
  double flops = 0;
  double bytes = 0;  ///< read and written in memory at least
};

/// Of a step over `num_tokens` tokens in sequences of `seq_length`, all ranks together, by the names of the
/// phases. FLOPs in the convention of training_flops_per_token; what a kernel computes a second time is not
/// counted. Bytes of an element of either moment: `moment_bytes`.
std::map<std::string, PhaseWork> phase_work(const ModelConfig& config, const ModelSize& size,
                                            int64_t num_tokens, int64_t seq_length, int64_t moment_bytes);

}  // namespace granule
