#pragma once
// The experts: a SwiGLU MLP per group of rows, y = down(silu(gate x) * (up x)), no biases. One call for all
// experts of a layer; the dense feed-forward and the shared expert are the case of one group.

#include <ATen/core/Tensor.h>

#include "ops/row_order.h"

namespace granule {

/// Weights of e experts in torch's Linear layout [out, in]; a single group may come as matrices [F, D] and
/// [D, F].
struct ExpertWeights {
  at::Tensor gate_eFD;
  at::Tensor up_eFD;
  at::Tensor down_eDF;
};

/// y_TD[t] = sum over the slots of t, in order, of scale * MLP(x_TD[t]) by the slot's expert; dropped slots
/// add nothing. The groups of `order` are the e experts, any of which may be empty. scale_N (fp32; in an fp64
/// model also fp64), in the order of the sorted rows, multiplies what goes into the down projection, so that
/// neither single outputs nor their gradients need be kept for the gradient of the gates that it is;
/// undefined: one everywhere.
/// Differentiable in x_TD, scale_N and the weights. x_TD and weights are fp32, fp64 or bf16 alike; sums are
/// at least fp32. Weight gradients are added straight into the weights' `.grad` when that is defined (fp32
/// for bf16 weights), and the graph then sees none; otherwise they are returned to autograd.
at::Tensor expert_mlp(const at::Tensor& x_TD, const RowOrder& order, const at::Tensor& scale_N,
                      const ExpertWeights& weights);

}  // namespace granule
