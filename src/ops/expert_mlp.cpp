#include "ops/expert_mlp.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "base/check.h"
#include "ops/weight_gradient.h"

namespace granule {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor widen(const at::Tensor& x) {
  return x.scalar_type() == at::kBFloat16 ? x.to(at::kFloat) : x;
}

struct ExpertMlp : torch::autograd::Function<ExpertMlp> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x_TD, const at::Tensor& source_N,
                            const at::Tensor& position_TK, const std::vector<int64_t>& end_G,
                            const at::Tensor& gate_eFD, const at::Tensor& up_eFD,
                            const at::Tensor& down_eDF) {
    context->saved_data["end_G"] = end_G;
    const int64_t N = source_N.size(0);
    const auto gate_weight = as_groups(gate_eFD), up_weight = as_groups(up_eFD),
               down_weight = as_groups(down_eDF);
    const int64_t F = gate_weight.size(1), D = gate_weight.size(2);
    auto gate_NF = at::empty({N, F}, x_TD.options());
    auto up_NF = at::empty({N, F}, x_TD.options());
    auto y_ND = at::empty({N, D}, x_TD.options());
    for_groups(end_G, [&](int64_t e, int64_t begin, int64_t rows) {
      const auto x_RD = widen(x_TD.index_select(0, source_N.narrow(0, begin, rows)));
      const auto gate_RF = at::mm(x_RD, widen(gate_weight[e]).t());
      const auto up_RF = at::mm(x_RD, widen(up_weight[e]).t());
      gate_NF.narrow(0, begin, rows).copy_(gate_RF);
      up_NF.narrow(0, begin, rows).copy_(up_RF);
      y_ND.narrow(0, begin, rows).copy_(at::mm(at::silu(gate_RF) * up_RF, widen(down_weight[e]).t()));
    });
    context->save_for_backward({x_TD, source_N, position_TK, gate_NF, up_NF, gate_eFD, up_eFD, down_eDF});
    return y_ND;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const auto &x_TD = saved[0], &source_N = saved[1], &position_TK = saved[2], &gate_NF = saved[3];
    const auto &up_NF = saved[4], &gate_eFD = saved[5], &up_eFD = saved[6], &down_eDF = saved[7];
    const auto gate_weight = as_groups(gate_eFD.detach()), up_weight = as_groups(up_eFD.detach());
    const auto down_weight = as_groups(down_eDF.detach());
    WeightGradient grad_gate(gate_eFD), grad_up(up_eFD), grad_down(down_eDF);
    const auto end_G = context->saved_data["end_G"].toIntVector();
    auto grad_x_ND = at::empty_like(gradients[0], at::MemoryFormat::Contiguous);
    for_groups(end_G, [&](int64_t e, int64_t begin, int64_t rows) {
      const auto grad_y_RD = widen(gradients[0].narrow(0, begin, rows));
      const auto x_RD = widen(x_TD.index_select(0, source_N.narrow(0, begin, rows)));
      const auto gate_RF = widen(gate_NF.narrow(0, begin, rows)), up_RF = widen(up_NF.narrow(0, begin, rows));
      const auto grad_h_RF = at::mm(grad_y_RD, widen(down_weight[e]));
      const auto silu_RF = at::silu(gate_RF);
      const auto grad_gate_RF = at::silu_backward(grad_h_RF * up_RF, gate_RF);
      const auto grad_up_RF = grad_h_RF * silu_RF;
      add_product(grad_down, e, grad_y_RD, silu_RF * up_RF);
      add_product(grad_gate, e, grad_gate_RF, x_RD);
      add_product(grad_up, e, grad_up_RF, x_RD);
      grad_x_ND.narrow(0, begin, rows)
          .copy_(at::mm(grad_gate_RF, widen(gate_weight[e])).addmm_(grad_up_RF, widen(up_weight[e])));
    });
    const RowOrder order{source_N, position_TK, end_G};
    const auto grad_x_TD = combine_rows(grad_x_ND, order, at::ones(position_TK.sizes(), at::kFloat));
    return {grad_x_TD,          at::Tensor(),     at::Tensor(),      at::Tensor(),
            grad_gate.result(), grad_up.result(), grad_down.result()};
  }

 private:
  static at::Tensor as_groups(const at::Tensor& weight) {
    return weight.dim() == 2 ? weight.unsqueeze(0) : weight;
  }

  // Adds a^T b to the gradient of group e's weight.
  static void add_product(WeightGradient& gradient, int64_t e, const at::Tensor& a, const at::Tensor& b) {
    if (gradient.wanted()) as_groups(gradient.sum())[e].addmm_(a.t(), b);
  }

  template <class Body>
  static void for_groups(const std::vector<int64_t>& end_G, const Body& body) {
    int64_t begin = 0;
    for (size_t e = 0; e < end_G.size(); begin = end_G[e++]) {
      if (end_G[e] > begin) body(static_cast<int64_t>(e), begin, end_G[e] - begin);
    }
  }
};

}  // namespace

at::Tensor expert_mlp(const at::Tensor& x_TD, const RowOrder& order, const ExpertWeights& weights) {
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
  CHECK(gate.scalar_type() == x_TD.scalar_type() && up.scalar_type() == x_TD.scalar_type() &&
            down.scalar_type() == x_TD.scalar_type(),
        "x and weights differ in dtype");
  return ExpertMlp::apply(x_TD, order.source_N, order.position_TK, order.end_G, gate, up, down);
}

}  // namespace granule
