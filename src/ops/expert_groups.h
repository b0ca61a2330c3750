#pragma once
// The ways to compute the experts of a layer: by the CPU kernels; on a GPU with LibTorch's grouped product
// (bf16); else group by group with LibTorch's matmul.

#include <ATen/core/Tensor.h>

#include <vector>

namespace granule {

/// Everything contiguous, the weights of all groups in one tensor each.
struct ExpertInputs {
  at::Tensor x_TD;
  at::Tensor source_N;
  at::Tensor scale_N;  ///< what the result of each row is multiplied by
  std::vector<int64_t> end_G;
  at::Tensor gate_eFD, up_eFD, down_eDF;
};

/// What backward fills or adds to; undefined where no gradient is wanted.
struct ExpertGradients {
  at::Tensor x_ND, scale_N;               ///< filled
  at::Tensor gate_eFD, up_eFD, down_eDF;  ///< added to, fp32 at least
};

/// Detached, with one matrix as a stack of one; undefined stays so.
inline at::Tensor as_groups(const at::Tensor& weight) {
  if (!weight.defined()) return weight;
  return weight.dim() == 2 ? weight.detach().unsqueeze(0) : weight.detach();
}

/// body(e, begin, rows) for each group that has rows, which begin at `begin`.
template <class Body>
void for_groups(const std::vector<int64_t>& end_G, const Body& body) {
  int64_t begin = 0;
  for (size_t e = 0; e < end_G.size(); begin = end_G[e++]) {
    if (end_G[e] > begin) body(static_cast<int64_t>(e), begin, end_G[e] - begin);
  }
}

/// In host memory, fp32 and bf16, D a multiple of 16 and F even.
bool kernels_fit(const ExpertInputs& inputs);
/// In device memory, bf16 with widths that are multiples of 8.
bool grouped_mm_fits(const ExpertInputs& inputs);

/// What forward makes. Members are made in this order: what is kept until backward lies below what is freed
/// at once, so that no hole stays between the layers' kept values.
struct ExpertOutputs {
  at::Tensor gate_up;  ///< before the activation, in an order only the backward of the same way knows
  at::Tensor y_ND;     ///< rows sorted
};

ExpertOutputs forward_by_kernels(const ExpertInputs& inputs);
ExpertOutputs forward_by_grouped_mm(const ExpertInputs& inputs);
ExpertOutputs forward_by_matmul(const ExpertInputs& inputs);

/// grad_y_TD[source_N[n]] is the gradient of row n.
void backward_by_kernels(const ExpertInputs& inputs, const at::Tensor& gate_up, const at::Tensor& grad_y_TD,
                         ExpertGradients& gradients);
void backward_by_grouped_mm(const ExpertInputs& inputs, const at::Tensor& gate_up,
                            const at::Tensor& grad_y_TD, ExpertGradients& gradients);
void backward_by_matmul(const ExpertInputs& inputs, const at::Tensor& gate_up, const at::Tensor& grad_y_TD,
                        ExpertGradients& gradients);

}  // namespace granule
