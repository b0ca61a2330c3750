#pragma once
// The MoE layer token by token and expert by expert, in plain differentiable operations: the twin that the
// layer, its balance losses and all its gradients are compared with.

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <vector>

#include "model/forward_context.h"
#include "model/model_config.h"

namespace granule {

struct NaiveMoe {
  at::Tensor y_TD;
  at::Tensor expert_loss;  ///< without coefficients, with the context's weights
  at::Tensor device_loss;
  at::Tensor communication_loss;
  at::Tensor z_loss;
  at::Tensor total_loss;                      ///< with coefficients
  std::vector<std::vector<int64_t>> experts;  ///< of each token, best first; dropped ones among them
};

/// `layer` gives the parameters by name, in any layout with all experts local. Of `context` layout and
/// weights and intervention count; the routed output of padding is zero. The micro-batch is the whole batch.
NaiveMoe naive_moe(const torch::nn::Module& layer, const ModelConfig& config, const at::Tensor& x_TD,
                   const ForwardContext& context);

}  // namespace granule
