#include "ops/expert_mlp.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>

#include "base/check.h"
#include "ops/expert_groups.h"
#include "ops/weight_gradient.h"

namespace granule {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Not timed as products of the experts.
at::Tensor sum_as_phase(const char* phase, const at::Tensor& y_ND, const at::Tensor& position_TK) {
  RECORD_USER_SCOPE(phase);
  return sum_slots(y_ND, position_TK);
}

// The scale's place among the tensors that ExpertMlp is given.
constexpr size_t kScale = 3;

struct ExpertMlp : torch::autograd::Function<ExpertMlp> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& source_N,
                            const at::Tensor& position_TK, const std::vector<int64_t>& end_G,
                            const at::Tensor& scale_N, const at::Tensor& gate, const at::Tensor& up,
                            const at::Tensor& down) {
    RECORD_USER_SCOPE("experts");
    const ExpertInputs inputs{x.contiguous(),  source_N.contiguous(), scale_N.contiguous(), end_G,
                              as_groups(gate), as_groups(up),         as_groups(down)};
    const auto [gate_up, y_ND] = kernels_fit(inputs)       ? forward_by_kernels(inputs)
                                 : grouped_mm_fits(inputs) ? forward_by_grouped_mm(inputs)
                                                           : forward_by_matmul(inputs);
    context->saved_data["end_G"] = end_G;
    context->save_for_backward(
        {inputs.x_TD, inputs.source_N, position_TK, inputs.scale_N, gate_up, gate, up, down});
    return sum_as_phase("row order", y_ND, position_TK);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    RECORD_USER_SCOPE("experts backward");
    const auto saved = context->get_saved_variables();
    const auto &position_TK = saved[2], &gate_up = saved[4];
    const ExpertInputs inputs{saved[0],
                              saved[1],
                              saved[3],
                              context->saved_data["end_G"].toIntVector(),
                              as_groups(saved[5]),
                              as_groups(saved[6]),
                              as_groups(saved[7])};
    WeightGradient grad_gate(saved[5]), grad_up(saved[6]), grad_down(saved[7]);
    ExpertGradients out{at::Tensor(), at::Tensor(), as_groups(grad_gate.sum()), as_groups(grad_up.sum()),
                        as_groups(grad_down.sum())};
    const auto grad_y_TD = gradients[0].contiguous();
    if (context->needs_input_grad(0)) {
      out.x_ND = at::empty({inputs.source_N.size(0), inputs.x_TD.size(1)}, inputs.x_TD.options());
    }
    if (context->needs_input_grad(kScale)) out.scale_N = at::empty_like(inputs.scale_N);
    if (kernels_fit(inputs)) {
      backward_by_kernels(inputs, gate_up, grad_y_TD, out);
    } else if (grouped_mm_fits(inputs)) {
      backward_by_grouped_mm(inputs, gate_up, grad_y_TD, out);
    } else {
      backward_by_matmul(inputs, gate_up, grad_y_TD, out);
    }
    at::Tensor grad_x_TD;
    if (out.x_ND.defined()) grad_x_TD = sum_as_phase("row order backward", out.x_ND, position_TK);
    return {grad_x_TD,   at::Tensor(),       at::Tensor(),     at::Tensor(),
            out.scale_N, grad_gate.result(), grad_up.result(), grad_down.result()};
  }
};

}  // namespace

at::Tensor expert_mlp(const at::Tensor& x_TD, const RowOrder& order, const at::Tensor& scale_N,
                      const ExpertWeights& weights) {
  const auto &gate = weights.gate_eFD, &up = weights.up_eFD, &down = weights.down_eDF;
  const int64_t dim = gate.dim(), groups = dim == 2 ? 1 : gate.size(0);
  CHECK(up.sizes() == gate.sizes() && down.dim() == dim, "gate, up and down disagree in shape");
  CHECK(down.size(-1) == gate.size(-2) && down.size(-2) == gate.size(-1),
        "down is not gate's transpose in shape");
  CHECK(x_TD.dim() == 2 && x_TD.size(1) == gate.size(-1), "x has ", x_TD.size(1), " columns, weights ",
        gate.size(-1));
  CHECK(static_cast<int64_t>(order.end_G.size()) == groups, "groups ", order.end_G.size(), ", experts ",
        groups);
  CHECK(order.source_N.size(0) == order.num_rows() && order.position_TK.size(0) == x_TD.size(0),
        "order of other rows");
  CHECK(!scale_N.defined() || (scale_N.dim() == 1 && scale_N.size(0) == order.num_rows()),
        "scales of other rows");
  CHECK(gate.scalar_type() == x_TD.scalar_type() && up.scalar_type() == x_TD.scalar_type() &&
            down.scalar_type() == x_TD.scalar_type(),
        "x and weights differ in dtype");
  const auto scale =
      scale_N.defined() ? scale_N : at::ones({order.num_rows()}, order.source_N.options().dtype(at::kFloat));
  return ExpertMlp::apply(x_TD, order.source_N, order.position_TK, order.end_G, scale, gate, up, down);
}

}  // namespace granule
