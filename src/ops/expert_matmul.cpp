#include <ATen/ATen.h>

#include "ops/expert_groups.h"
#include "ops/wide_matmul.h"

namespace granule {

namespace {

void add_product(at::Tensor& sum_eOI, int64_t e, const at::Tensor& grad_RO, const at::Tensor& in_RI) {
  if (sum_eOI.defined()) sum_eOI[e].addmm_(grad_RO.t(), in_RI);
}

// The factors of a group's rows, [R, 1].
at::Tensor scale_of_group(const ExpertInputs& inputs, int64_t begin, int64_t rows, at::ScalarType dtype) {
  return inputs.scale_N.narrow(0, begin, rows).to(dtype).unsqueeze(1);
}

}  // namespace

ExpertOutputs forward_by_matmul(const ExpertInputs& inputs) {
  const int64_t N = inputs.source_N.size(0);
  const auto gate_up_2NF = at::empty({2, N, inputs.gate_eFD.size(1)}, inputs.x_TD.options());
  const auto y_ND = at::empty({N, inputs.x_TD.size(1)}, inputs.x_TD.options());
  for_groups(inputs.end_G, [&](int64_t e, int64_t begin, int64_t rows) {
    const auto x_RD = widen(inputs.x_TD.index_select(0, inputs.source_N.narrow(0, begin, rows)));
    const auto gate_RF = at::mm(x_RD, widen(inputs.gate_eFD[e]).t());
    const auto up_RF = at::mm(x_RD, widen(inputs.up_eFD[e]).t());
    gate_up_2NF[0].narrow(0, begin, rows).copy_(gate_RF);
    gate_up_2NF[1].narrow(0, begin, rows).copy_(up_RF);
    const auto h_RF = at::silu(gate_RF) * up_RF * scale_of_group(inputs, begin, rows, gate_RF.scalar_type());
    y_ND.narrow(0, begin, rows).copy_(at::mm(h_RF, widen(inputs.down_eDF[e]).t()));
  });
  return {gate_up_2NF, y_ND};
}

void backward_by_matmul(const ExpertInputs& inputs, const at::Tensor& gate_up_2NF,
                        const at::Tensor& grad_y_TD, ExpertGradients& gradients) {
  for_groups(inputs.end_G, [&](int64_t e, int64_t begin, int64_t rows) {
    const auto source_R = inputs.source_N.narrow(0, begin, rows);
    const auto grad_y_RD = widen(grad_y_TD.index_select(0, source_R));
    const auto x_RD = widen(inputs.x_TD.index_select(0, source_R));
    const auto gate_RF = widen(gate_up_2NF[0].narrow(0, begin, rows));
    const auto up_RF = widen(gate_up_2NF[1].narrow(0, begin, rows));
    const auto scale_R1 = scale_of_group(inputs, begin, rows, gate_RF.scalar_type());
    const auto grad_scaled_RF = at::mm(grad_y_RD, widen(inputs.down_eDF[e])),
               grad_h_RF = grad_scaled_RF * scale_R1;
    const auto silu_RF = at::silu(gate_RF), h_RF = silu_RF * up_RF;
    const auto grad_gate_RF = at::silu_backward(grad_h_RF * up_RF, gate_RF);
    const auto grad_up_RF = grad_h_RF * silu_RF;
    add_product(gradients.down_eDF, e, grad_y_RD, h_RF * scale_R1);
    add_product(gradients.gate_eFD, e, grad_gate_RF, x_RD);
    add_product(gradients.up_eFD, e, grad_up_RF, x_RD);
    if (gradients.scale_N.defined())
      gradients.scale_N.narrow(0, begin, rows).copy_((grad_scaled_RF * h_RF).sum(1));
    if (!gradients.x_ND.defined()) return;
    gradients.x_ND.narrow(0, begin, rows)
        .copy_(at::mm(grad_gate_RF, widen(inputs.gate_eFD[e])).addmm_(grad_up_RF, widen(inputs.up_eFD[e])));
  });
}

}  // namespace granule
