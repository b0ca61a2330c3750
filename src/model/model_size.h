#pragma once
// How large a model is and what a token costs: counted from the real modules, so that plan and program agree.

#include <cstdint>

#include "model/model_config.h"
#include "model/transformer.h"

namespace granule {

struct ModelSize {
  int64_t embedding = 0;  ///< input embedding; the head too when tied
  int64_t head = 0;       ///< untied head
  int64_t attention = 0;
  int64_t dense = 0;   ///< feed-forward of dense layers
  int64_t shared = 0;  ///< shared experts
  int64_t routed = 0;  ///< all routed experts
  int64_t router = 0;
  int64_t norm = 0;
  int64_t routed_activated = 0;  ///< of `routed`, what one token uses
  int64_t adapters = 0;          ///< LoRA adapters, no part of `total`, outside routed experts
  int64_t routed_adapters = 0;   ///< those of all routed experts
  int64_t adapters_activated = 0;  ///< of both, what one token uses

  /// The matrix that logits are made with.
  int64_t logits_matrix() const { return head > 0 ? head : embedding; }
  int64_t without_routed() const { return embedding + head + attention + dense + shared + router + norm; }
  int64_t total() const { return without_routed() + routed; }
  /// Adapters if there are any, else everything.
  int64_t trained() const { return is_adapted() ? adapters + routed_adapters : total(); }
  bool is_adapted() const { return adapters + routed_adapters > 0; }
  /// What a token uses, both embeddings counted.
  int64_t activated() const { return without_routed() + routed_activated; }
};

/// Of the whole model, also when `model` holds only some of the experts. Reads shapes alone: a model on the
/// meta device will do.
ModelSize measure_size(const Transformer& model);

/// Forward and backward FLOPs of one token in a sequence of `seq_length`, Megatron's convention: 6 per
/// activated matrix parameter (without the input embedding) and causal attention counted once. Beside
/// adapters matrices have no gradient: 4.
double training_flops_per_token(const ModelConfig& config, const ModelSize& size, int64_t seq_length);

}  // namespace granule
