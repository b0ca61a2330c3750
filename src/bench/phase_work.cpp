#include "bench/phase_work.h"

namespace granule {

std::map<std::string, PhaseWork> phase_work(const ModelConfig& config, const ModelSize& size,
                                            int64_t num_tokens, int64_t seq_length, int64_t moment_bytes) {
  const double tokens = static_cast<double>(num_tokens);
  const int64_t scores =
      config.num_hidden_layers * config.num_attention_heads * config.head_dim_used() * seq_length;
  const double head = 2.0 * static_cast<double>(size.logits_matrix()) * tokens;
  const std::map<std::string, double> forward_flops{
      {"attention", 2.0 * static_cast<double>(scores) * tokens},
      {"experts", 2.0 * static_cast<double>(size.dense + size.shared + size.routed_activated) * tokens},
      {"projections", 2.0 * static_cast<double>(size.attention + size.router) * tokens}};

  // Frozen matrices have no gradients of their own; what adapters add is not counted.
  const int backward = size.is_adapted() ? 1 : 2;
  std::map<std::string, PhaseWork> work;
  for (const auto& [phase, flops] : forward_flops) {
    work[phase].flops = flops;
    work[phase + " backward"].flops = backward * flops;
  }
  work["head"].flops = (1 + backward) * head;  // its gradients are made in forward
  // Master, in one piece or in halves, and both moments are read and written, the gradient is read.
  const int64_t update_bytes = 2 * 4 + 2 * 2 * moment_bytes + 4;
  work["update"].bytes = static_cast<double>(update_bytes * size.trained());
  return work;
}

}  // namespace granule
