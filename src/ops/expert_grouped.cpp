#include <ATen/ATen.h>

#include "ops/expert_groups.h"
#include "ops/wide_matmul.h"

namespace granule {

namespace {

// What LibTorch's grouped product wants of bf16 matrices: rows of whole 16 bytes, fewer groups than this.
constexpr int64_t kRowElements = 8;
constexpr int64_t kMaxGroups = 1024;

// Where each group ends, in the memory of the rows, as LibTorch's grouped product wants it.
at::Tensor ends_on_device(const ExpertInputs& inputs) {
  return at::tensor(inputs.end_G, at::kInt).to(inputs.x_TD.device(), at::kInt, /*non_blocking=*/true);
}

// The rows of each group times its matrix; bf16 with fp32 sums.
at::Tensor times_groups(const at::Tensor& rows_NI, const at::Tensor& matrix_eIO, const at::Tensor& end_e) {
  if (rows_NI.size(0) == 0) return at::empty({0, matrix_eIO.size(2)}, rows_NI.options());
  return at::_grouped_mm(rows_NI, matrix_eIO, end_e);
}

// Group by group, so that the sum is fp32 throughout and a group without rows adds nothing.
void add_weight_gradient(at::Tensor& sum_eOI, const at::Tensor& grad_NO, const at::Tensor& in_NI,
                         const std::vector<int64_t>& end_G) {
  if (!sum_eOI.defined()) return;
  for_groups(end_G, [&](int64_t e, int64_t begin, int64_t rows) {
    auto sum_OI = sum_eOI[e];
    add_wide_mm(sum_OI, grad_NO.narrow(0, begin, rows).t(), in_NI.narrow(0, begin, rows));
  });
}

at::Tensor sorted_rows(const at::Tensor& rows_TD, const ExpertInputs& inputs) {
  return rows_TD.index_select(0, inputs.source_N);
}

}  // namespace

bool grouped_mm_fits(const ExpertInputs& inputs) {
  return !inputs.x_TD.is_cpu() && inputs.x_TD.scalar_type() == at::kBFloat16 &&
         inputs.gate_eFD.size(0) < kMaxGroups && inputs.gate_eFD.size(1) % kRowElements == 0 &&
         inputs.gate_eFD.size(2) % kRowElements == 0;
}

ExpertOutputs forward_by_grouped_mm(const ExpertInputs& inputs) {
  const auto end_e = ends_on_device(inputs);
  const auto x_ND = sorted_rows(inputs.x_TD, inputs);
  const auto gate_NF = times_groups(x_ND, inputs.gate_eFD.transpose(1, 2), end_e);
  const auto up_NF = times_groups(x_ND, inputs.up_eFD.transpose(1, 2), end_e);
  const auto h_NF = at::silu(gate_NF.to(at::kFloat)) * up_NF * inputs.scale_N.unsqueeze(1);
  return {at::stack({gate_NF, up_NF}),
          times_groups(h_NF.to(at::kBFloat16), inputs.down_eDF.transpose(1, 2), end_e)};
}

void backward_by_grouped_mm(const ExpertInputs& inputs, const at::Tensor& gate_up_2NF,
                            const at::Tensor& grad_y_TD, ExpertGradients& gradients) {
  const auto end_e = ends_on_device(inputs);
  const auto x_ND = sorted_rows(inputs.x_TD, inputs), grad_y_ND = sorted_rows(grad_y_TD, inputs);
  const auto gate32_NF = gate_up_2NF[0].to(at::kFloat), up_NF = gate_up_2NF[1];
  const auto silu_NF = at::silu(gate32_NF), h_NF = silu_NF * up_NF;
  const auto grad_scaled_NF = times_groups(grad_y_ND, inputs.down_eDF, end_e).to(at::kFloat);
  const auto scale_N1 = inputs.scale_N.unsqueeze(1), grad_h_NF = grad_scaled_NF * scale_N1;
  const auto grad_gate_NF = at::silu_backward(grad_h_NF * up_NF, gate32_NF).to(at::kBFloat16);
  const auto grad_up_NF = (grad_h_NF * silu_NF).to(at::kBFloat16);
  if (gradients.scale_N.defined()) gradients.scale_N.copy_((grad_scaled_NF * h_NF).sum(1));
  add_weight_gradient(gradients.down_eDF, grad_y_ND, (h_NF * scale_N1).to(at::kBFloat16), inputs.end_G);
  add_weight_gradient(gradients.gate_eFD, grad_gate_NF, x_ND, inputs.end_G);
  add_weight_gradient(gradients.up_eFD, grad_up_NF, x_ND, inputs.end_G);
  if (!gradients.x_ND.defined()) return;
  gradients.x_ND.copy_(times_groups(grad_gate_NF, inputs.gate_eFD, end_e)
                           .add_(times_groups(grad_up_NF, inputs.up_eFD, end_e)));
}

}  // namespace granule
