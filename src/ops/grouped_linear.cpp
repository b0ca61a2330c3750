#include "ops/grouped_linear.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>

#include "base/check.h"
#include "ops/expert_groups.h"
#include "ops/weight_gradient.h"
#include "ops/wide_matmul.h"

namespace granule {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct GroupedLinear : torch::autograd::Function<GroupedLinear> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x_NI, const at::Tensor& weight,
                            const std::vector<int64_t>& end_G) {
    RECORD_USER_SCOPE("grouped linear");
    context->saved_data["end_G"] = end_G;
    context->save_for_backward({x_NI, weight});
    const auto weight_gOI = as_groups(weight);
    auto y_NO = at::empty({x_NI.size(0), weight_gOI.size(1)}, x_NI.options());
    for_groups(end_G, [&](int64_t g, int64_t begin, int64_t rows) {
      auto y_RO = y_NO.narrow(0, begin, rows);
      at::mm_out(y_RO, x_NI.narrow(0, begin, rows), weight_gOI[g].t());
    });
    return y_NO;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    RECORD_USER_SCOPE("grouped linear backward");
    const auto saved = context->get_saved_variables();
    const auto& x_NI = saved[0];
    const auto weight_gOI = as_groups(saved[1]);
    const auto& grad_y_NO = gradients[0];
    WeightGradient grad_weight(saved[1]);
    const auto sum_gOI = as_groups(grad_weight.sum());
    at::Tensor grad_x_NI;
    if (context->needs_input_grad(0)) grad_x_NI = at::empty_like(x_NI);
    for_groups(context->saved_data["end_G"].toIntVector(), [&](int64_t g, int64_t begin, int64_t rows) {
      const auto grad_y_RO = grad_y_NO.narrow(0, begin, rows);
      if (grad_weight.wanted()) {
        auto sum_OI = sum_gOI[g];
        add_wide_mm(sum_OI, grad_y_RO.t(), x_NI.narrow(0, begin, rows));
      }
      if (!grad_x_NI.defined()) return;
      auto grad_x_RI = grad_x_NI.narrow(0, begin, rows);
      at::mm_out(grad_x_RI, grad_y_RO, weight_gOI[g]);
    });
    return {grad_x_NI, grad_weight.result(), at::Tensor()};
  }
};

}  // namespace

at::Tensor grouped_linear(const at::Tensor& x_NI, const at::Tensor& weight_gOI,
                          const std::vector<int64_t>& end_G) {
  const int64_t groups = weight_gOI.dim() == 2 ? 1 : weight_gOI.size(0);
  CHECK(x_NI.dim() == 2 && x_NI.size(1) == weight_gOI.size(-1), "x has ", x_NI.size(1), " columns, weights ",
        weight_gOI.size(-1));
  CHECK(static_cast<int64_t>(end_G.size()) == groups && end_G.back() == x_NI.size(0), "groups ", end_G.size(),
        " of ", end_G.back(), " rows, matrices ", groups, ", rows ", x_NI.size(0));
  CHECK(x_NI.scalar_type() == weight_gOI.scalar_type(), "x and weights differ in dtype");
  return GroupedLinear::apply(x_NI.contiguous(), weight_gOI, end_G);
}

}  // namespace granule
