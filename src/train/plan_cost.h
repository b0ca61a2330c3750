#pragma once
// What a model costs whatever runs it: parameters by part and training FLOPs, both conventions. Parameters
// are counted from the real modules on the meta device.
//
// The paper's convention (found from its tables, arXiv 2401.06066): a sequence of T tokens costs 6 N T + 12 L
// h T^2, attention not halved for causality; N = attention, activated feed-forward, the K chosen rows of the
// router and the head. Most tables use nominal sizes (4 h^2 of attention a layer even with grouped queries,
// feed-forward widths as multiples of 8/3 h before rounding up); Table 6's 145B and 142B follow from real
// widths alone.

#include "model/lora_config.h"
#include "model/model_config.h"
#include "model/model_size.h"

namespace granule {

/// FLOPs of one sequence, forward and backward.
struct SequenceFlops {
  double paper_nominal = 0;  ///< the paper's convention, nominal sizes
  double paper_real = 0;     ///< the paper's convention, the sizes this config has
  double causal =
      0;  ///< Megatron's: real sizes, whole router, attention counted once; what `throughput` logs
};

struct ModelCost {
  ModelSize size;
  SequenceFlops flops;

  int64_t experts() const { return size.shared + size.routed; }
  int64_t experts_activated() const { return size.shared + size.routed_activated; }
};

/// The configs have been checked. The paper's conventions know no adapters.
ModelCost measure_cost(const ModelConfig& config, int64_t seq_length, const LoraConfig& lora = {});

/// The width that a paper would state for `width`: the nearest multiple of 1/40 (halves, eighths, fifths) of
/// the standard 8/3 h, if `width` is that rounded up by less than 256; else `width`.
double nominal_width(int64_t width, int64_t hidden_size);

}  // namespace granule
