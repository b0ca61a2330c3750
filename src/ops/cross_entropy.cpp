#include "ops/cross_entropy.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "base/check.h"
#include "ops/weight_gradient.h"

namespace granule {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Logits held at a time.
constexpr int64_t kChunkElements = int64_t{1} << 23;

int64_t chunk_rows(int64_t V) {
  return std::max<int64_t>(16, kChunkElements / std::max<int64_t>(V, 1));
}

// bf16 is widened, so that products are summed and logits kept in fp32.
at::Tensor widen(const at::Tensor& x) {
  return x.scalar_type() == at::kBFloat16 ? x.to(at::kFloat) : x;
}

struct CrossEntropy : torch::autograd::Function<CrossEntropy> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& hidden_TD, const at::Tensor& head_VD,
                            const at::Tensor& label_T, const at::Tensor& mask_T) {
    const int64_t T = hidden_TD.size(0), rows = chunk_rows(head_VD.size(0));
    const auto head_wide_VD = widen(head_VD);
    const auto safe_label_T = label_T.masked_fill(~mask_T, 0);
    auto log_sum_T = at::empty({T}, head_wide_VD.options());
    auto loss_T = at::empty({T}, head_wide_VD.options());
    for (int64_t begin = 0; begin < T; begin += rows) {
      const int64_t count = std::min(rows, T - begin);
      const auto logit_CV = at::mm(widen(hidden_TD.narrow(0, begin, count)), head_wide_VD.t());
      auto log_sum_C = log_sum_T.narrow(0, begin, count);
      at::logsumexp_out(log_sum_C, logit_CV, 1);
      const auto target_C = logit_CV.gather(1, safe_label_T.narrow(0, begin, count).unsqueeze(1)).squeeze(1);
      loss_T.narrow(0, begin, count).copy_(log_sum_C - target_C);
    }
    loss_T.masked_fill_(~mask_T, 0);
    context->save_for_backward({hidden_TD, head_VD, safe_label_T, mask_T, log_sum_T});
    return loss_T;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const auto &hidden_TD = saved[0], &head_VD = saved[1], &label_T = saved[2], &mask_T = saved[3];
    const auto& log_sum_T = saved[4];
    const auto head_wide_VD = widen(head_VD.detach());
    const int64_t T = hidden_TD.size(0), rows = chunk_rows(head_VD.size(0));
    const auto weight_T = gradients[0].to(log_sum_T.scalar_type()).masked_fill(~mask_T, 0);
    auto grad_hidden_TD = at::empty_like(hidden_TD);
    WeightGradient grad_head(head_VD);
    for (int64_t begin = 0; begin < T; begin += rows) {
      const int64_t count = std::min(rows, T - begin);
      const auto hidden_CD = widen(hidden_TD.narrow(0, begin, count));
      const auto weight_C1 = weight_T.narrow(0, begin, count).unsqueeze(1);
      auto grad_logit_CV = at::mm(hidden_CD, head_wide_VD.t());
      grad_logit_CV.sub_(log_sum_T.narrow(0, begin, count).unsqueeze(1)).exp_().mul_(weight_C1);
      grad_logit_CV.scatter_add_(1, label_T.narrow(0, begin, count).unsqueeze(1), -weight_C1);
      grad_hidden_TD.narrow(0, begin, count).copy_(at::mm(grad_logit_CV, head_wide_VD));
      if (grad_head.wanted()) grad_head.sum().addmm_(grad_logit_CV.t(), hidden_CD);
    }
    return {grad_hidden_TD, grad_head.result(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor cross_entropy(const at::Tensor& hidden_TD, const at::Tensor& head_VD, const at::Tensor& label_T,
                         const at::Tensor& mask_T) {
  const auto [T, D] = get_shape<2>(hidden_TD);
  CHECK(head_VD.dim() == 2 && head_VD.size(1) == D, "hidden width ", D, ", head width ", head_VD.size(1));
  CHECK(label_T.numel() == T && mask_T.numel() == T, "tokens ", T, ", labels ", label_T.numel(), ", mask ",
        mask_T.numel());
  CHECK(hidden_TD.scalar_type() == head_VD.scalar_type(), "hidden and head differ in dtype");
  return CrossEntropy::apply(hidden_TD, head_VD, label_T, mask_T);
}

}  // namespace granule
