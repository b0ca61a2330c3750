#pragma once
// Low-rank adapters: a frozen matrix W and two small trained ones, y = W x + alpha / rank * B A dropout(x).
// Names and first values are PEFT's.

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "comm/placement.h"
#include "model/forward_context.h"
#include "model/lora_config.h"

namespace granule {

/// How an adapter's parameters are called behind the name of their matrix.
inline constexpr std::string_view kLoraA = ".lora_A.weight", kLoraB = ".lora_B.weight";

inline bool is_adapter(std::string_view name) { return name.ends_with(kLoraA) || name.ends_with(kLoraB); }

/// A matrix, or a stack of them, that may have an adapter.
class AdaptableMatrix : public torch::nn::Module {
 public:
  /// Parameter `weight` [out, in] or [e, out, in].
  AdaptableMatrix(at::IntArrayRef shape, at::TensorOptions options);

  const at::Tensor& weight() const { return weight_; }
  bool is_adapted() const { return lora_a_ != nullptr; }
  /// Adds lora_A.weight [rank, in] and lora_B.weight [out, rank], both behind [e] of a stack. Dropout is drawn
  /// from `seed` and the matrix' `name`.
  void adapt(const LoraConfig& config, uint64_t seed, const std::string& name);

  /// What the adapter adds to rows that belong to the stack's matrices by `end_G`. Inputs are dropped where
  /// `place` says that this is training.
  at::Tensor delta(const at::Tensor& x_NI, const std::vector<int64_t>& end_G,
                   const std::optional<BatchPlace>& place) const;
  /// The rows times the matrices, and the adapter's part.
  at::Tensor forward(const at::Tensor& x_NI, const std::vector<int64_t>& end_G,
                     const std::optional<BatchPlace>& place) const;

 private:
  /// Which elements of x_NI are dropped.
  at::Tensor dropped(const at::Tensor& x_NI, const BatchPlace& place) const;

  at::Tensor weight_;
  std::shared_ptr<AdaptableMatrix> lora_a_, lora_b_;
  double scale_ = 0, dropout_ = 0;
  uint64_t seed_ = 0;
  std::string name_;
};

/// Freezes all parameters of `model` and gives the target matrices adapters.
void add_adapters(torch::nn::Module& model, const LoraConfig& config, uint64_t seed);

struct SplitParameters {
  std::vector<PlacedParameter> base;
  std::vector<PlacedParameter> adapters;
};
SplitParameters split_adapters(const std::vector<PlacedParameter>& parameters);

/// What training changes and checkpoints hold: the adapters if there are any, else everything.
std::vector<PlacedParameter> trained_parameters(const std::vector<PlacedParameter>& parameters);

}  // namespace granule
