#pragma once
// How a plan lays a model over ranks: pipeline x data x expert, the micro-batch, recomputation. Plans may
// have pipeline stages, which section `parallel` does not offer yet.

#include <string>
#include <vector>

#include "train/run_config.h"

namespace granule {

struct PlanLayout {
  int64_t ranks = 1;
  int64_t pipeline = 1;
  int64_t expert = 1;
  int64_t micro_batch_size = 1;
  bool recompute = false;

  /// Ranks that hold the same non-expert parameters.
  int64_t replicas() const { return ranks / pipeline; }
  /// Ranks that hold the same experts.
  int64_t data() const { return replicas() / expert; }
  /// Whether every rank has its place.
  bool divides() const { return data() * expert * pipeline == ranks; }
};

/// What the config asks for, on `ranks` ranks (0: the product of section `parallel`).
PlanLayout layout_of_config(const RunConfig& config, int64_t ranks);

/// Why no job can have this layout; empty if one can, memory aside.
std::string layout_fault(const RunConfig& config, const PlanLayout& layout);

/// Micro-batches that a rank runs in a step.
int64_t num_micro_batches(const RunConfig& config, const PlanLayout& layout);

/// The layers of one pipeline stage.
struct PlanStage {
  int64_t dense_layers = 0;
  int64_t expert_layers = 0;  ///< layers with experts, routed or always on
  bool first = false;         ///< holds the embedding
  bool last = false;          ///< holds final norm and head

  int64_t layers() const { return dense_layers + expert_layers; }
};

/// Even stages; where layers are left over, the stages after the first have one more, since the first holds
/// the embedding too.
std::vector<PlanStage> split_stages(const ModelConfig& model, int64_t pipeline);

}  // namespace granule
