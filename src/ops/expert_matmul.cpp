#include <ATen/ATen.h>

#include "ops/expert_groups.h"
#include "ops/wide_matmul.h"

namespace granule {

namespace {

void add_product(at::Tensor& sum_eOI, int64_t e, const at::Tensor& grad_RO, const at::Tensor& in_RI) {
  if (sum_eOI.defined()) sum_eOI[e].addmm_(grad_RO.t(), in_RI);
}

}  // namespace

at::Tensor forward_by_matmul(const ExpertInputs& inputs, at::Tensor& y_ND) {
  auto gate_up_2NF = at::empty({2, inputs.source_N.size(0), inputs.gate_eFD.size(1)}, inputs.x_TD.options());
  for_groups(inputs.end_G, [&](int64_t e, int64_t begin, int64_t rows) {
    const auto x_RD = widen(inputs.x_TD.index_select(0, inputs.source_N.narrow(0, begin, rows)));
    const auto gate_RF = at::mm(x_RD, widen(inputs.gate_eFD[e]).t());
    const auto up_RF = at::mm(x_RD, widen(inputs.up_eFD[e]).t());
    gate_up_2NF[0].narrow(0, begin, rows).copy_(gate_RF);
    gate_up_2NF[1].narrow(0, begin, rows).copy_(up_RF);
    y_ND.narrow(0, begin, rows).copy_(at::mm(at::silu(gate_RF) * up_RF, widen(inputs.down_eDF[e]).t()));
  });
  return gate_up_2NF;
}

void backward_by_matmul(const ExpertInputs& inputs, const at::Tensor& gate_up_2NF,
                        const at::Tensor& grad_y_ND, ExpertGradients& gradients) {
  for_groups(inputs.end_G, [&](int64_t e, int64_t begin, int64_t rows) {
    const auto grad_y_RD = widen(grad_y_ND.narrow(0, begin, rows));
    const auto x_RD = widen(inputs.x_TD.index_select(0, inputs.source_N.narrow(0, begin, rows)));
    const auto gate_RF = widen(gate_up_2NF[0].narrow(0, begin, rows));
    const auto up_RF = widen(gate_up_2NF[1].narrow(0, begin, rows));
    const auto grad_h_RF = at::mm(grad_y_RD, widen(inputs.down_eDF[e]));
    const auto silu_RF = at::silu(gate_RF);
    const auto grad_gate_RF = at::silu_backward(grad_h_RF * up_RF, gate_RF);
    const auto grad_up_RF = grad_h_RF * silu_RF;
    add_product(gradients.down_eDF, e, grad_y_RD, silu_RF * up_RF);
    add_product(gradients.gate_eFD, e, grad_gate_RF, x_RD);
    add_product(gradients.up_eFD, e, grad_up_RF, x_RD);
    if (!gradients.x_ND.defined()) return;
    gradients.x_ND.narrow(0, begin, rows)
        .copy_(at::mm(grad_gate_RF, widen(inputs.gate_eFD[e])).addmm_(grad_up_RF, widen(inputs.up_eFD[e])));
  });
}

}  // namespace granule
