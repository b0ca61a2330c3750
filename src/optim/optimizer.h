#pragma once
// AdamW with its state sharded over exactly the ranks that replicate a parameter (ZeRO-1): gradients are
// reduce-scattered as plain sums, a rank updates its own slice of every flat buffer in fp32, parameters are
// gathered. No scale factor exists here but the clip factor.

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "base/config.h"
#include "optim/flat_parameters.h"

namespace granule {

struct OptimizerConfig {
  double lr = 1e-3;
  double min_lr = 0;
  double weight_decay = 0.1;
  double adam_beta1 = 0.9;
  double adam_beta2 = 0.95;
  double adam_eps = 1e-8;
  std::string moment_precision = "fp32";
  double clip_grad = 1.0;

  void visit(auto&& field) {
    field("lr", lr, {.min = 0}, "peak learning rate");
    field("min_lr", min_lr, {.min = 0}, "decay ends here; not above lr");
    field("weight_decay", weight_decay, {.min = 0}, "decoupled, times lr; of matrices only");
    field("adam_beta1", adam_beta1, {.min = 0, .max = 1}, "of the mean of gradients; below 1");
    field("adam_beta2", adam_beta2, {.min = 0, .max = 1}, "of the mean of squared gradients; below 1");
    field("adam_eps", adam_eps, {.min = 0}, "added to the root of the squared mean; above 0");
    field("moment_precision", moment_precision, {.choices = {"fp32", "bf16"}},
          "both means between updates; bf16 saves 4 bytes a parameter and wants betas up to 0.98");
    field("clip_grad", clip_grad, {.min = 0},
          "largest norm of the gradient over all parameters; 0: no limit");
  }

  at::ScalarType moment_dtype() const { return moment_precision == "bf16" ? at::kBFloat16 : at::kFloat; }

  /// Throws ConfigError.
  void check() const;
};

/// What a rank owns of one flat buffer: [slice_size] each, in the order of the buffer's own slice.
struct OptimizerShard {
  const FlatBuffer* buffer;
  at::Tensor remainder;   ///< int16: what bf16 parameters lack of their masters; undefined for fp32 ones
  at::Tensor exp_avg;     ///< first moment, fp32 or bf16
  at::Tensor exp_avg_sq;  ///< second moment, likewise

  /// fp32 [count], masters from element `begin` on: of fp32 parameters a view of themselves, else a copy.
  at::Tensor master(int64_t begin, int64_t count) const;
  at::Tensor master() const { return master(0, buffer->slice_size()); }
  /// Sets the masters from `begin` on, and the rank's own parameters with them. `values`: fp32, on any
  /// device.
  void set_master(int64_t begin, const at::Tensor& values) const;
};

class Optimizer {
 public:
  /// Makes `parameters` (fp32 or bf16) views of flat buffers. Masters begin as the parameters' present
  /// values, moments as zeros. The groups must outlive the optimizer.
  Optimizer(const std::vector<PlacedParameter>& parameters, const ShardGroups& groups,
            const OptimizerConfig& config);
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// Before the first forward of a step: no gradients. Those of no block have memory, as zeros.
  void zero_gradients();
  /// Before backward through a block of the model: its gradients have memory.
  void allocate_gradients(int64_t block);
  /// Sums gradients over ranks, each into its owner's slice, and returns the norm over all parameters of all
  /// ranks, each element counted once: the same number on every rank, not finite if any element of any rank
  /// is not. Collective over the world. Leaving out `apply` afterwards skips the update: nothing changes.
  double reduce_gradients();
  /// One update from the reduced gradients, clipped to the config's norm; then their memory is free.
  /// Collective.
  void apply(double lr);

  /// Updates applied so far.
  int64_t num_updates() const { return num_updates_; }

  // For checkpoints: masters may be set and moments written into, then `state_changed` once.
  const std::vector<OptimizerShard>& shards() const { return shards_; }
  /// Parameters follow the masters of other ranks. Collective.
  void state_changed(int64_t num_updates);

 private:
  // A stretch of a shard whose elements all decay, or all do not.
  struct DecayRun {
    int64_t begin;
    int64_t count;
    bool decays;
  };
  static std::vector<DecayRun> decay_runs(const FlatBuffer& buffer);
  /// What the gradients of the last reduction are multiplied by.
  double clip_factor() const;
  void update_shard(size_t index, double lr, double clip_factor);

  OptimizerConfig config_;
  Communicator& world_;
  std::vector<FlatBuffer> buffers_;
  std::vector<OptimizerShard> shards_;
  std::vector<std::vector<DecayRun>> runs_;  // of each shard
  int64_t num_updates_ = 0;
  double gradient_norm_ = 0;
};

}  // namespace granule
