#pragma once
// Bytes that a rank holds while it trains. State follows optim/optimizer: parameters and fp32 gradients
// whole, what bf16 parameters lack of their fp32 masters and both moments sharded over the ranks that
// replicate a parameter; norms and routers in fp32. Beside adapters (LoRA) the model has parameters alone.
// Activations follow what backward needs of a token with fused attention (no S x S matrix), e bytes an
// element:
//   attention, norms, residuals  e (4 h + 2 H d + 2 G d)                 x, two norms' outputs, residual; q,
//                                                                        attended; k, v
//   dense feed-forward           e 3 f_dense                             gate, up, their product
//   experts                      e (3 f n_shared + K (2 h + 3 f)) + 12 E  rows in and out; scores in fp32
// Left out: fragmentation, libraries' workspaces, send buffers, rows above the average of an uneven router.

#include "model/model_size.h"
#include "train/plan_layout.h"

namespace granule {

/// Parameters that one rank holds.
struct RankParameters {
  double matrices = 0;         ///< replicated, in train.precision
  double fp32 = 0;             ///< replicated norms and routers
  double experts = 0;          ///< this rank's routed experts
  double adapters = 0;         ///< replicated, in train.precision; beside adapters nothing else is trained
  double expert_adapters = 0;  ///< of this rank's routed experts
  double replicated() const { return matrices + fp32 + adapters; }
  double total() const { return replicated() + experts + expert_adapters; }
  /// What has gradients and optimizer state.
  RankParameters trained() const;
};

/// `size` is of the whole model.
RankParameters rank_parameters(const ModelConfig& model, const ModelSize& size, const PlanStage& stage,
                               int64_t expert_ranks);

/// How often a parameter is replicated, and so into how many slices its state is cut.
struct Replication {
  int64_t replicated = 1;
  int64_t experts = 1;
};

struct RankMemory {
  double parameters = 0;
  double gradients = 0;
  double optimizer = 0;
  double activations = 0;
  double reused = 0;  ///< of gradients, where they lie in what activations were freed from

  double state() const { return parameters + gradients + optimizer; }
  double total() const { return state() + activations - reused; }
};

/// Without activations. Bytes of an element of matrices and of a moment: 2 (bf16) or 4 (fp32).
RankMemory state_bytes(const RankParameters& parameters, const Replication& replication,
                       int64_t element_bytes, int64_t moment_bytes);

/// Bytes that backward needs of one token in one layer, nothing recomputed.
double layer_activation_bytes(const ModelConfig& model, bool has_experts, int64_t element_bytes);

/// Of stage number `index` at its fullest, with as many micro-batches in flight as 1F1B keeps there.
RankMemory stage_memory(const RunConfig& config, const ModelSize& size, const PlanLayout& layout,
                        int64_t index);

/// Of the rank that needs most.
RankMemory largest_memory(const RunConfig& config, const ModelSize& size, const PlanLayout& layout);

/// Bytes of an element of matrices and activations.
int64_t element_bytes(const TrainConfig& train);

/// Bytes of an element of either moment.
int64_t moment_bytes(const OptimizerConfig& optimizer);

/// On disk, all ranks together: what train/checkpoint_writer keeps, fp32 masters and both moments.
double checkpoint_bytes(const ModelSize& size, const OptimizerConfig& optimizer);

}  // namespace granule
