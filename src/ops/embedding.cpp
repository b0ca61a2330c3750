#include "ops/embedding.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include "base/check.h"
#include "ops/weight_gradient.h"

namespace granule {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

template <class Sum, class Element>
void add_rows(Sum* sum_VD, const int64_t* token_T, const Element* grad_TD, int64_t T, int64_t D) {
  // Threads share columns: whatever tokens come how often, each has as much to do, in the tokens' order.
  at::parallel_for(0, D, 64, [&](int64_t begin, int64_t end) {
    for (int64_t t = 0; t < T; ++t) {
      Sum* sum = sum_VD + token_T[t] * D;
      const Element* grad = grad_TD + t * D;
      for (int64_t d = begin; d < end; ++d) sum[d] += static_cast<Sum>(grad[d]);
    }
  });
}

void add_rows(at::Tensor& sum_VD, const at::Tensor& token_T, const at::Tensor& grad_TD) {
  const auto [T, D] = get_shape<2>(grad_TD);
  const auto* token = token_T.const_data_ptr<int64_t>();
  switch (grad_TD.scalar_type()) {
    case at::kFloat:
      return add_rows(sum_VD.mutable_data_ptr<float>(), token, grad_TD.const_data_ptr<float>(), T, D);
    case at::kBFloat16:
      return add_rows(sum_VD.mutable_data_ptr<float>(), token, grad_TD.const_data_ptr<c10::BFloat16>(), T, D);
    case at::kDouble:
      return add_rows(sum_VD.mutable_data_ptr<double>(), token, grad_TD.const_data_ptr<double>(), T, D);
    default:
      CHECK(false, "a gradient in ", grad_TD.scalar_type());
  }
}

struct Embed : torch::autograd::Function<Embed> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& weight_VD,
                            const at::Tensor& token_T) {
    context->save_for_backward({weight_VD, token_T.contiguous()});
    return at::embedding(weight_VD, token_T);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const auto &weight_VD = saved[0], &token_T = saved[1];
    WeightGradient grad_weight(weight_VD);
    if (!grad_weight.wanted()) return {at::Tensor(), at::Tensor()};
    auto& sum_VD = grad_weight.sum();
    const auto grad_TD = gradients[0].contiguous();
    if (grad_TD.is_cpu()) {
      add_rows(sum_VD, token_T, grad_TD);
    } else {
      sum_VD.add_(at::embedding_dense_backward(grad_TD.to(sum_VD.scalar_type()), token_T, weight_VD.size(0),
                                               /*padding_idx=*/-1, /*scale_grad_by_freq=*/false));
    }
    return {grad_weight.result(), at::Tensor()};
  }
};

}  // namespace

at::Tensor embed(const at::Tensor& weight_VD, const at::Tensor& token_T) {
  CHECK(token_T.dim() == 1 && token_T.scalar_type() == at::kLong, "ids of ", token_T.dim(), " dimensions in ",
        token_T.scalar_type());
  return Embed::apply(weight_VD, token_T);
}

}  // namespace granule
