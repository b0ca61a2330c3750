#pragma once
// The MoE layer token by token and expert by expert, in plain differentiable operations: the twin that the layer,
// its balance loss and all its gradients are compared with.

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "model/model_config.h"

namespace granule {

struct NaiveMoe {
  at::Tensor y_TD;
  at::Tensor balance_loss;  ///< sum over sequences of sum_i f_i P_i, without coefficient
};

/// `layer` gives the parameters by name, in any layout with all experts local. `sequence_T` int64: the sequence of a
/// token, -1 = padding, whose routed output is zero.
NaiveMoe naive_moe(const torch::nn::Module& layer, const ModelConfig& config, const at::Tensor& x_TD,
                   const at::Tensor& sequence_T);

}  // namespace granule
