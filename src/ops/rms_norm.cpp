#include "ops/rms_norm.h"

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/OpMathType.h>
#include <ATen/Parallel.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "base/check.h"
#include "ops/element_types.h"
#include "ops/kernels.h"
#include "ops/weight_gradient.h"

namespace granule {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The weight's gradient is summed within such a block of rows, then over the blocks: the same for any number
// of threads.
constexpr int64_t kBlockRows = 64;

template <class Value>
void normalize(const Value* x, const at::opmath_type<Value>* weight, int64_t rows, int64_t D, double eps,
               Value* y, at::opmath_type<Value>* scale) {
  using Sum = at::opmath_type<Value>;
  at::parallel_for(0, rows, kBlockRows, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const Value* row = x + t * D;
      Sum squares = 0;
#pragma omp simd reduction(+ : squares)
      for (int64_t d = 0; d < D; ++d) squares += static_cast<Sum>(row[d]) * static_cast<Sum>(row[d]);
      scale[t] = Sum(1) / std::sqrt(squares / static_cast<Sum>(D) + static_cast<Sum>(eps));
      for (int64_t d = 0; d < D; ++d) {
        const auto unit = static_cast<Value>(static_cast<Sum>(row[d]) * scale[t]);
        y[t * D + d] = static_cast<Value>(static_cast<Sum>(unit) * weight[d]);
      }
    }
  });
}

// With unit = x * scale and g = grad_y * weight: grad_x = scale * (g - unit * mean(g * unit)).
template <class Value>
void normalize_backward(const Value* x, const at::opmath_type<Value>* weight,
                        const at::opmath_type<Value>* scale, const Value* grad_y, int64_t rows, int64_t D,
                        Value* grad_x, at::opmath_type<Value>* grad_weight_blocks) {
  using Sum = at::opmath_type<Value>;
  const int64_t blocks = (rows + kBlockRows - 1) / kBlockRows;
  at::parallel_for(0, blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin * kBlockRows; t < std::min(rows, end * kBlockRows); ++t) {
      const Value *row = x + t * D, *grad = grad_y + t * D;
      Sum* grad_weight = grad_weight_blocks + t / kBlockRows * D;
      Sum dot = 0;
#pragma omp simd reduction(+ : dot)
      for (int64_t d = 0; d < D; ++d) {
        const Sum g = static_cast<Sum>(grad[d]), unit = static_cast<Sum>(row[d]) * scale[t];
        grad_weight[d] += g * unit;
        dot += g * weight[d] * unit;
      }
      const Sum mean = dot / static_cast<Sum>(D);
      for (int64_t d = 0; d < D; ++d) {
        const Sum unit = static_cast<Sum>(row[d]) * scale[t];
        grad_x[t * D + d] =
            static_cast<Value>(scale[t] * (static_cast<Sum>(grad[d]) * weight[d] - unit * mean));
      }
    }
  });
}

int64_t num_rows(const at::Tensor& x) {
  return x.size(-1) == 0 ? 0 : x.numel() / x.size(-1);
}

// The same by operators, for any device. `scale_R` is filled.
at::Tensor normalize_by_operators(const at::Tensor& x_RD, const at::Tensor& weight_D, double eps,
                                  at::Tensor& scale_R) {
  const auto wide = x_RD.to(weight_D.scalar_type());
  const auto scale = (wide.square().mean(-1, /*keepdim=*/true) + eps).rsqrt_();
  scale_R.copy_(scale.flatten());
  return ((wide * scale).to(x_RD.scalar_type()) * weight_D).to(x_RD.scalar_type());
}

// `grad_weight_D` is added to.
at::Tensor normalize_backward_by_operators(const at::Tensor& x_RD, const at::Tensor& weight_D,
                                           const at::Tensor& scale_R, const at::Tensor& grad_y,
                                           at::Tensor& grad_weight_D) {
  const int64_t D = weight_D.numel();
  const auto unit_RD = x_RD.view({-1, D}).to(weight_D.scalar_type()) * scale_R.unsqueeze(1);
  const auto grad_RD = grad_y.view({-1, D}).to(weight_D.scalar_type());
  if (grad_weight_D.defined()) grad_weight_D.add_((grad_RD * unit_RD).sum(0));
  const auto g_RD = grad_RD * weight_D;
  const auto mean_R1 = (g_RD * unit_RD).mean(1, /*keepdim=*/true);
  return ((g_RD - unit_RD * mean_R1) * scale_R.unsqueeze(1)).to(x_RD.scalar_type()).view(x_RD.sizes());
}

struct RmsNorm : torch::autograd::Function<RmsNorm> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            double eps) {
    RECORD_USER_SCOPE("norm");
    const auto x_RD = x.contiguous();
    const int64_t D = x_RD.size(-1), rows = num_rows(x_RD);
    const auto sum_dtype = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    const auto weight_D = weight.to(sum_dtype).contiguous();
    auto scale_R = at::empty({rows}, weight_D.options());
    if (!x.is_cpu()) {
      context->save_for_backward({x_RD, weight, scale_R});
      return normalize_by_operators(x_RD, weight_D, eps, scale_R);
    }
    auto y = at::empty_like(x_RD);
    const bool by_kernels = with_kernel_element(x, D, [&]<class Element>(Element) {
      const NormTask<Element> task{.D = D,
                                   .eps = static_cast<float>(eps),
                                   .x_TD = elements<Element>(x_RD),
                                   .weight_D = weight_D.const_data_ptr<float>(),
                                   .scale_T = scale_R.mutable_data_ptr<float>(),
                                   .y_TD = elements<Element>(y)};
      at::parallel_for(0, rows, kBlockRows,
                       [&](int64_t begin, int64_t end) { kernels<Element>().normalize(task, begin, end); });
    });
    if (!by_kernels) {
      AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x_RD.scalar_type(), "rms_norm", [&] {
        using Sum = at::opmath_type<scalar_t>;
        normalize(x_RD.const_data_ptr<scalar_t>(), weight_D.template const_data_ptr<Sum>(), rows, D, eps,
                  y.mutable_data_ptr<scalar_t>(), scale_R.mutable_data_ptr<Sum>());
      });
    }
    context->save_for_backward({x_RD, weight, scale_R});
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    RECORD_USER_SCOPE("norm backward");
    const auto saved = context->get_saved_variables();
    const auto &x_RD = saved[0], &scale_R = saved[2];
    const int64_t D = x_RD.size(-1), rows = num_rows(x_RD), blocks = (rows + kBlockRows - 1) / kBlockRows;
    const auto weight_D = saved[1].detach().to(scale_R.scalar_type()).contiguous();
    const auto grad_y = gradients[0].contiguous();
    WeightGradient grad_weight(saved[1]);
    if (!x_RD.is_cpu()) {
      const auto grad_x = normalize_backward_by_operators(x_RD, weight_D, scale_R, grad_y, grad_weight.sum());
      return {grad_x, grad_weight.result(), at::Tensor()};
    }
    auto grad_x = at::empty_like(x_RD);
    auto grad_weight_blocks = at::zeros({blocks, D}, scale_R.options());
    const bool by_kernels = with_kernel_element(x_RD, D, [&]<class Element>(Element) {
      const NormTask<Element> task{.D = D,
                                   .x_TD = elements<Element>(x_RD),
                                   .weight_D = weight_D.const_data_ptr<float>(),
                                   .scale_T = scale_R.mutable_data_ptr<float>(),
                                   .grad_y_TD = elements<Element>(grad_y),
                                   .grad_x_TD = elements<Element>(grad_x)};
      auto* sums = grad_weight_blocks.mutable_data_ptr<float>();
      at::parallel_for(0, blocks, 1, [&](int64_t begin, int64_t end) {
        for (int64_t block = begin; block < end; ++block) {
          kernels<Element>().normalize_backward(task, block * kBlockRows,
                                                std::min(rows, (block + 1) * kBlockRows), sums + block * D);
        }
      });
    });
    if (!by_kernels) {
      AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x_RD.scalar_type(), "rms_norm_backward", [&] {
        using Sum = at::opmath_type<scalar_t>;
        normalize_backward(x_RD.const_data_ptr<scalar_t>(), weight_D.template const_data_ptr<Sum>(),
                           scale_R.const_data_ptr<Sum>(), grad_y.const_data_ptr<scalar_t>(), rows, D,
                           grad_x.mutable_data_ptr<scalar_t>(), grad_weight_blocks.mutable_data_ptr<Sum>());
      });
    }
    if (grad_weight.wanted()) grad_weight.sum().add_(grad_weight_blocks.sum(0));
    return {grad_x, grad_weight.result(), at::Tensor()};
  }
};

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight_D, double eps) {
  CHECK(weight_D.dim() == 1 && x.size(-1) == weight_D.size(0), "x has ", x.size(-1), " columns, weight ",
        weight_D.numel());
  return RmsNorm::apply(x, weight_D, eps);
}

}  // namespace granule
