#include "ops/cross_entropy.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

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

// Logits held at a time: on a GPU many more, since each chunk goes through the whole head's gradient once.
constexpr int64_t kChunkElements = int64_t{1} << 23, kDeviceChunkElements = int64_t{1} << 27;

// Of the head, widened at a time: while one token is decoded they stay in the cache.
constexpr int64_t kWideRows = 256;

int64_t chunk_rows(const at::Tensor& head_VD) {
  const auto elements = head_VD.is_cpu() ? kChunkElements : kDeviceChunkElements;
  return std::max<int64_t>(16, elements / std::max<int64_t>(head_VD.size(0), 1));
}

struct Inputs {
  at::Tensor hidden_TD, head_VD, label_T, mask_T;
};

// Of the sum of losses, fp32 at least; undefined where none is wanted.
struct Gradients {
  at::Tensor hidden_TD;  // zeros to begin with, as is the other
  at::Tensor head_VD;
};

std::vector<int64_t> valid_tokens(const Inputs& in) {
  std::vector<int64_t> tokens;
  const int64_t V = in.head_VD.size(0);
  const auto* mask = in.mask_T.const_data_ptr<bool>();
  const auto* label = in.label_T.const_data_ptr<int64_t>();
  for (int64_t t = 0; t < in.mask_T.numel(); ++t) {
    if (!mask[t]) continue;
    CHECK(label[t] >= 0 && label[t] < V, "label ", label[t], " of a vocabulary of ", V);
    tokens.push_back(t);
  }
  return tokens;
}

template <class Element>
void losses_by_kernels(const Inputs& in, at::Tensor& loss_T, Gradients& gradients) {
  const auto tokens = valid_tokens(in);
  const auto data = [](at::Tensor& sum) { return sum.defined() ? sum.mutable_data_ptr<float>() : nullptr; };
  const HeadTask<Element> task{.D = in.hidden_TD.size(1),
                               .V = in.head_VD.size(0),
                               .rows = static_cast<int64_t>(tokens.size()),
                               .token = tokens.data(),
                               .hidden_TD = elements<Element>(in.hidden_TD),
                               .head_VD = elements<Element>(in.head_VD),
                               .label = in.label_T.const_data_ptr<int64_t>(),
                               .loss_T = loss_T.mutable_data_ptr<float>(),
                               .grad_hidden_TD = data(gradients.hidden_TD),
                               .grad_head_VD = data(gradients.head_VD)};
  const auto& own = kernels<Element>();
  run_team(task, own.head_shared_bytes(task.D, task.V), own.head_thread_bytes(task.D, task.V),
           own.head_losses);
}

void losses_by_matmul(const Inputs& in, at::Tensor& loss_T, Gradients& gradients) {
  const int64_t T = in.hidden_TD.size(0), rows = chunk_rows(in.head_VD);
  const auto label_T1 = in.label_T.masked_fill(~in.mask_T, 0).unsqueeze(1);
  for (int64_t begin = 0; begin < T; begin += rows) {
    const int64_t count = std::min(rows, T - begin);
    const auto hidden_CD = in.hidden_TD.narrow(0, begin, count);
    const auto label_C1 = label_T1.narrow(0, begin, count);
    const auto mask_C1 = in.mask_T.narrow(0, begin, count).unsqueeze(1);
    auto logit_CV = wide_mm(hidden_CD, in.head_VD.t());
    const auto log_sum_C1 = logit_CV.logsumexp(1, /*keepdim=*/true);
    loss_T.narrow(0, begin, count)
        .copy_((log_sum_C1 - logit_CV.gather(1, label_C1)).masked_fill_(~mask_C1, 0).squeeze(1));
    if (!gradients.hidden_TD.defined()) continue;
    const auto weight_C1 = mask_C1.to(logit_CV.scalar_type());
    auto& grad_logit_CV = logit_CV.sub_(log_sum_C1).exp_().mul_(weight_C1);
    grad_logit_CV.scatter_add_(1, label_C1, -weight_C1);
    gradients.hidden_TD.narrow(0, begin, count).copy_(wide_mm(grad_logit_CV, in.head_VD));
    if (gradients.head_VD.defined()) add_wide_mm(gradients.head_VD, grad_logit_CV.t(), hidden_CD);
  }
}

struct CrossEntropy : torch::autograd::Function<CrossEntropy> {
  // `with_gradients`: forward itself never runs where gradients are recorded.
  static variable_list forward(AutogradContext* context, const at::Tensor& hidden_TD,
                               const at::Tensor& head_VD, const at::Tensor& label_T, const at::Tensor& mask_T,
                               bool with_gradients) {
    RECORD_USER_SCOPE("head");
    const Inputs in{hidden_TD.contiguous(), head_VD.contiguous(), label_T.contiguous(), mask_T.contiguous()};
    const auto dtype = hidden_TD.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    const auto options = hidden_TD.options().dtype(dtype);
    auto loss_T = at::zeros({hidden_TD.size(0)}, options);
    Gradients gradients;
    if (with_gradients) {
      gradients.hidden_TD = at::zeros(hidden_TD.sizes(), options);
      if (head_VD.requires_grad()) gradients.head_VD = at::zeros(head_VD.sizes(), options);
    }
    const bool by_kernels = with_kernel_element(
        in.hidden_TD, in.hidden_TD.size(1),
        [&]<class Element>(Element) { losses_by_kernels<Element>(in, loss_T, gradients); });
    if (!by_kernels) losses_by_matmul(in, loss_T, gradients);
    context->mark_non_differentiable({loss_T});
    context->save_for_backward({hidden_TD, head_VD, gradients.hidden_TD, gradients.head_VD});
    return {loss_T, loss_T.sum()};
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    RECORD_USER_SCOPE("head backward");
    const auto saved = context->get_saved_variables();
    const auto &hidden_TD = saved[0], &head_VD = saved[1], &grad_sum = gradients[1];
    WeightGradient grad_head(head_VD);
    if (grad_head.wanted()) grad_head.sum().addcmul_(saved[3], grad_sum);
    const auto grad_hidden_TD = (saved[2] * grad_sum).to(hidden_TD.scalar_type());
    return {grad_hidden_TD, grad_head.result(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

TokenLosses cross_entropy(const at::Tensor& hidden_TD, const at::Tensor& head_VD, const at::Tensor& label_T,
                          const at::Tensor& mask_T) {
  const auto [T, D] = get_shape<2>(hidden_TD);
  CHECK(head_VD.dim() == 2 && head_VD.size(1) == D, "hidden width ", D, ", head width ", head_VD.size(1));
  CHECK(label_T.numel() == T && mask_T.numel() == T, "tokens ", T, ", labels ", label_T.numel(), ", mask ",
        mask_T.numel());
  CHECK(hidden_TD.scalar_type() == head_VD.scalar_type(), "hidden and head differ in dtype");
  const bool with_gradients =
      at::GradMode::is_enabled() && (hidden_TD.requires_grad() || head_VD.requires_grad());
  const auto losses = CrossEntropy::apply(hidden_TD, head_VD, label_T, mask_T, with_gradients);
  return {losses[0], losses[1]};
}

at::Tensor head_logits(const at::Tensor& hidden_ND, const at::Tensor& head_VD) {
  const at::NoGradGuard no_grad;
  if (!head_VD.is_cpu() || head_VD.scalar_type() != at::kBFloat16) return wide_mm(hidden_ND, head_VD.t());
  const auto wide_ND = widen(hidden_ND);
  const int64_t V = head_VD.size(0);
  auto logit_NV = at::empty({hidden_ND.size(0), V}, wide_ND.options());
  for (int64_t begin = 0; begin < V; begin += kWideRows) {
    const int64_t count = std::min(kWideRows, V - begin);
    logit_NV.narrow(1, begin, count).copy_(at::mm(wide_ND, widen(head_VD.narrow(0, begin, count)).t()));
  }
  return logit_NV;
}

}  // namespace granule
