#pragma once
// The language model: embedding, blocks, final norm, head. Parameters carry Hugging Face's names; initial
// values depend on (seed, name, element) alone, so every layout starts from the same model.

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <memory>
#include <span>
#include <vector>

#include "comm/placement.h"
#include "model/block.h"
#include "model/generation_cache.h"
#include "ops/cross_entropy.h"
#include "ops/rotary.h"

namespace granule {

struct TransformerOutput {
  at::Tensor hidden_TD;     ///< after the final norm
  at::Tensor balance_loss;  ///< scalar, summed over layers; undefined if no layer has one
};

class Transformer : public torch::nn::Module {
 public:
  /// Parameters are allocated, not filled. `dtype` is that of the matrices; norms and routers are fp32 (fp64
  /// with fp64). Experts are split over `expert_group`, which must outlive the model.
  Transformer(const ModelConfig& config, Communicator& expert_group, at::ScalarType dtype,
              c10::Device device = at::kCPU);

  const ModelConfig& config() const { return config_; }
  at::Device device() const { return embedding_VD_.device(); }

  /// `token_BS` int64. Collective over the expert group.
  TransformerOutput forward(const at::Tensor& token_BS, const ForwardContext& context) const;
  /// Cross-entropy of each label, 0 where `mask_T` is false.
  TokenLosses token_losses(const at::Tensor& hidden_TD, const at::Tensor& label_T,
                           const at::Tensor& mask_T) const;
  /// [N, V], fp32 as the loss takes them (fp64 for fp64); without gradients.
  at::Tensor logits(const at::Tensor& hidden_ND) const;
  /// For `num_rows` texts of at most `capacity` tokens each.
  GenerationCache make_cache(int64_t num_rows, int64_t capacity) const;
  /// The first `count_B[b]` ids of a row of `token_BS` (one at least; the others are padding) go on from what
  /// `cache` has of that row and are taken in. Logits after the last of each row, fp32 [B, V]; without
  /// gradients. Collective over the expert group.
  at::Tensor next_logits(const at::Tensor& token_BS, std::span<const int64_t> count_B,
                         GenerationCache& cache) const;

  /// Every parameter with placement and global names, in a fixed order.
  std::vector<PlacedParameter> placed_parameters() const;
  /// All parameters are frozen, selection biases too, and the target matrices get adapters. Dropout is drawn
  /// from `seed`.
  void adapt(const LoraConfig& lora, uint64_t seed);
  /// Of what is trained: norms 1, selection biases 0, hash tables from (seed, name), adapters as PEFT's, all
  /// else normal with the config's standard deviation.
  void initialize(uint64_t seed);

 private:
  const at::Tensor& head_VD() const;
  /// What all blocks read of a pass, made once.
  void complete(SequenceLayout& layout, const at::Tensor& token_T) const;

  ModelConfig config_;
  int64_t first_local_expert_ = 0;
  std::shared_ptr<torch::nn::Module> trunk_;  // "model."
  at::Tensor embedding_VD_;
  std::vector<std::shared_ptr<Block>> blocks_;
  std::shared_ptr<RmsNorm> final_norm_;
  std::shared_ptr<Linear> head_;  // untied
  mutable GrowingRotaryTable rotary_;
};

/// The parameters of such a model, all of its experts, without memory: names, shapes, dtypes and placement.
std::vector<PlacedParameter> describe_parameters(const ModelConfig& config, at::ScalarType dtype);

}  // namespace granule
