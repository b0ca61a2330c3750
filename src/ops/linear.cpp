#include "ops/linear.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>

#include "base/check.h"
#include "ops/element_types.h"
#include "ops/kernels.h"
#include "ops/run_team.h"
#include "ops/weight_gradient.h"
#include "ops/wide_matmul.h"

namespace granule {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// From so many rows of x on, a copy of the weight is little beside the product: one whose height is a multiple
// of 16, as the kernels want it.
constexpr int64_t kRowsThatPay = 64;

template <class Element>
LinearTask<Element> make_task(const at::Tensor& x_RI, const at::Tensor& weight_OI) {
  return {.in = weight_OI.size(1),
          .out = weight_OI.size(0),
          .rows = x_RI.size(0),
          .x_RI = elements<Element>(x_RI),
          .weight_OI = elements<Element>(weight_OI)};
}

template <class Element, class Run>
void run(const LinearTask<Element>& task, const Run& kernel) {
  const auto& own = kernels<Element>();
  run_team(task, own.linear_shared_bytes(task.in, task.out), own.linear_thread_bytes(task.in, task.out),
           kernel);
}

template <class Element>
void forward(const at::Tensor& x_RI, const at::Tensor& weight_OI, const at::Tensor& y_RO) {
  auto task = make_task<Element>(x_RI, weight_OI);
  task.y_RO = elements<Element>(y_RO);
  run(task, kernels<Element>().linear_forward);
}

// Either gradient may be undefined: not wanted.
template <class Element>
void backward(const at::Tensor& x_RI, const at::Tensor& weight_OI, const at::Tensor& grad_y_RO,
              const at::Tensor& grad_x_RI, const at::Tensor& grad_weight_OI) {
  auto task = make_task<Element>(x_RI, weight_OI);
  task.grad_y_RO = elements<Element>(grad_y_RO);
  task.grad_x_RI = grad_x_RI.defined() ? elements<Element>(grad_x_RI) : nullptr;
  task.grad_weight_OI = grad_weight_OI.defined() ? grad_weight_OI.mutable_data_ptr<float>() : nullptr;
  run(task, kernels<Element>().linear_backward);
}

// By operators on any device; the weight's gradient is summed in fp32.
struct OperatorLinear : torch::autograd::Function<OperatorLinear> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight_OI) {
    RECORD_USER_SCOPE("projections");
    context->save_for_backward({x, weight_OI});
    return at::linear(x, weight_OI);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    RECORD_USER_SCOPE("projections backward");
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weight_OI = saved[1];
    WeightGradient grad_weight(weight_OI);
    const auto grad_y_RO = gradients[0].reshape({-1, weight_OI.size(0)});
    if (grad_weight.wanted()) add_wide_mm(grad_weight.sum(), grad_y_RO.t(), x.reshape({-1, x.size(-1)}));
    at::Tensor grad_x;
    if (context->needs_input_grad(0)) grad_x = at::mm(grad_y_RO, weight_OI.detach()).view(x.sizes());
    return {grad_x, grad_weight.result()};
  }
};

// The kernels want heights that are multiples of 16: rows of zeros to the next one.
at::Tensor with_whole_tiles(const at::Tensor& weight_OI) {
  const int64_t missing = -weight_OI.size(0) & 15;
  return missing == 0 ? weight_OI.contiguous() : at::constant_pad_nd(weight_OI, {0, 0, 0, missing});
}

struct KernelLinear : torch::autograd::Function<KernelLinear> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight_OI) {
    RECORD_USER_SCOPE("projections");
    const auto x_RI = x.reshape({-1, x.size(-1)}).contiguous();
    const auto weight = with_whole_tiles(weight_OI);
    const auto y_RO = at::empty({x_RI.size(0), weight.size(0)}, x.options());
    with_element(x.scalar_type(), [&]<class Element>(Element) { granule::forward<Element>(x_RI, weight, y_RO); });
    context->save_for_backward({x_RI, weight_OI});
    context->saved_data["shape"] = x.sizes();
    auto shape = x.sizes().vec();
    shape.back() = weight.size(0);
    return y_RO.view(shape).narrow(-1, 0, weight_OI.size(0));
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    RECORD_USER_SCOPE("projections backward");
    const auto saved = context->get_saved_variables();
    const auto& x_RI = saved[0];
    const auto weight = with_whole_tiles(saved[1].detach());
    const int64_t height = saved[1].size(0), missing = weight.size(0) - height;
    auto grad_y_RO = gradients[0].reshape({-1, height}).contiguous();
    if (missing > 0) grad_y_RO = at::constant_pad_nd(grad_y_RO, {0, missing});
    WeightGradient grad_weight(saved[1]);
    auto sum_OI = grad_weight.sum();
    if (missing > 0 && sum_OI.defined()) sum_OI = at::zeros(weight.sizes(), sum_OI.options());
    at::Tensor grad_x_RI;
    if (context->needs_input_grad(0)) grad_x_RI = at::empty_like(x_RI);
    with_element(x_RI.scalar_type(), [&]<class Element>(Element) {
      granule::backward<Element>(x_RI, weight, grad_y_RO, grad_x_RI, sum_OI);
    });
    if (missing > 0 && grad_weight.wanted()) grad_weight.sum().add_(sum_OI.narrow(0, 0, height));
    const auto grad_x =
        grad_x_RI.defined() ? grad_x_RI.view(context->saved_data["shape"].toIntVector()) : at::Tensor();
    return {grad_x, grad_weight.result()};
  }
};

}  // namespace

at::Tensor apply_linear(const at::Tensor& x, const at::Tensor& weight_OI) {
  const auto [O, I] = get_shape<2>(weight_OI);
  CHECK(x.dim() >= 1 && x.size(-1) == I, "x has ", x.size(-1), " columns, weight ", I);
  CHECK(x.scalar_type() == weight_OI.scalar_type(), "x and weight differ in dtype");
  const bool pays = O % 16 == 0 || x.numel() >= kRowsThatPay * I;
  return pays && kernels_take(x, I) ? KernelLinear::apply(x, weight_OI) : OperatorLinear::apply(x, weight_OI);
}

}  // namespace granule
