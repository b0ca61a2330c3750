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

/// y_ND for the rows of `order`, whose groups are the e experts; row n reads x_TD[order.source_N[n]] without
/// a copy of x in sorted order being part of the contract. A group may be empty, as may all of them.
/// Differentiable in x_TD and the weights. fp32, fp64 or bf16 (all alike); sums are at least fp32. Weight
/// gradients are added straight into the weights' `.grad` when that is defined (fp32 for bf16 weights), and
/// the graph then sees none; otherwise they are returned to autograd.
at::Tensor expert_mlp(const at::Tensor& x_TD, const RowOrder& order, const ExpertWeights& weights);

}  // namespace granule
