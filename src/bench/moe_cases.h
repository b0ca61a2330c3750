#pragma once
// One MoE layer at given shapes and expert loads, and its routed experts alone.

#include <cstdint>
#include <string>
#include <vector>

#include "bench/timed_case.h"

namespace granule {

struct MoeShape {
  int64_t tokens = 4096;  ///< T, of a rank
  int64_t hidden_size = 256;
  int64_t moe_intermediate_size = 176;
  int64_t n_routed_experts = 63;
  int64_t num_experts_per_tok = 7;
  int64_t n_shared_experts = 1;
  bool bf16 = false;
  std::string device = "cpu";  ///< or "cuda"
  double skew = 0;         ///< expert i is chosen in proportion to 1 / (i + 1)^skew; 0: all alike
  std::string loads_file;  ///< JSON array of E loads, as a run recorded them, instead of `skew`
};

/// Relative load of each expert. Throws ConfigError, InputError for a file that does not hold E numbers >= 0,
/// K of them positive.
std::vector<double> expert_loads(const MoeShape& shape);

/// K different experts for each of T tokens, int64 [T, K], chosen in proportion to `load_E`; a function of
/// its arguments.
at::Tensor choose_by_load(const std::vector<double>& load_E, int64_t num_tokens, int64_t num_chosen,
                          uint64_t seed);

/// Throws ConfigError for experts that cannot be chosen, or be spread evenly.
void check_experts(int64_t num_experts, int64_t num_chosen, int num_ranks);

/// Forward and backward of the whole layer and of its routed experts; the experts are spread over all ranks.
/// Shares are of the CPU's peak, on a GPU of a large product of matrices. Throws ConfigError for shapes no
/// layer can have, what open_device does.
std::vector<TimedCase> moe_cases(World& world, const MoeShape& shape);

}  // namespace granule
