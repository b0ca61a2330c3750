#pragma once
// Causal attention, ours and LibTorch's, in one run.

#include <cstdint>
#include <vector>

#include "bench/timed_case.h"

namespace granule {

struct AttentionShape {
  int64_t batch = 16;
  int64_t length = 256;
  int64_t heads = 8;
  int64_t kv_heads = 8;
  int64_t head_dim = 32;
  int64_t documents = 1;  ///< equal ones packed in each sequence, kept apart; LibTorch is timed only for 1
  bool bf16 = false;
};

/// Forward and backward of both. Throws ConfigError for shapes that cannot be.
std::vector<TimedCase> attention_cases(const AttentionShape& shape);

}  // namespace granule
