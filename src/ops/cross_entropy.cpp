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

// Logits held at a time.
constexpr int64_t kChunkElements = int64_t{1} << 23;

int64_t chunk_rows(int64_t V) {
  return std::max<int64_t>(16, kChunkElements / std::max<int64_t>(V, 1));
}

struct Inputs {
  at::Tensor hidden_TD, head_VD, label_T, mask_T;
};

struct Gradients {
  at::Tensor hidden_TD;  // filled
  at::Tensor head_VD;    // added to, unless undefined
};

bool kernels_fit(const Inputs& in) {
  const auto dtype = in.hidden_TD.scalar_type();
  return in.hidden_TD.is_cpu() && (dtype == at::kFloat || dtype == at::kBFloat16) &&
         in.hidden_TD.size(1) % 16 == 0;
}

std::vector<int64_t> valid_tokens(const at::Tensor& mask_T) {
  std::vector<int64_t> tokens;
  const auto* mask = mask_T.const_data_ptr<bool>();
  for (int64_t t = 0; t < mask_T.numel(); ++t) {
    if (mask[t]) tokens.push_back(t);
  }
  return tokens;
}

template <class Element, class Run>
void run(const HeadTask<Element>& task, const Run& kernel) {
  const auto& own = kernels<Element>();
  run_team(task, own.head_shared_bytes(task.D, task.V), own.head_thread_bytes(task.D, task.V), kernel);
}

template <class Element>
HeadTask<Element> make_task(const Inputs& in, const std::vector<int64_t>& tokens,
                            const at::Tensor& log_sum_T) {
  return {.D = in.hidden_TD.size(1),
          .V = in.head_VD.size(0),
          .rows = static_cast<int64_t>(tokens.size()),
          .token = tokens.data(),
          .hidden_TD = elements<Element>(in.hidden_TD),
          .head_VD = elements<Element>(in.head_VD),
          .label = in.label_T.const_data_ptr<int64_t>(),
          .log_sum_T = log_sum_T.mutable_data_ptr<float>()};
}

template <class Element>
void forward_by_kernels(const Inputs& in, at::Tensor& loss_T, at::Tensor& log_sum_T) {
  const auto tokens = valid_tokens(in.mask_T);
  auto task = make_task<Element>(in, tokens, log_sum_T);
  task.loss_T = loss_T.mutable_data_ptr<float>();
  run(task, kernels<Element>().head_forward);
}

template <class Element>
void backward_by_kernels(const Inputs& in, const at::Tensor& log_sum_T, const at::Tensor& weight_T,
                         Gradients& gradients) {
  const auto tokens = valid_tokens(in.mask_T);
  auto task = make_task<Element>(in, tokens, log_sum_T);
  task.grad_loss_T = weight_T.const_data_ptr<float>();
  if (task.rows < in.hidden_TD.size(0)) gradients.hidden_TD.zero_();
  task.grad_hidden_TD = elements<Element>(gradients.hidden_TD);
  task.grad_head_VD = gradients.head_VD.defined() ? gradients.head_VD.mutable_data_ptr<float>() : nullptr;
  run(task, kernels<Element>().head_backward);
}

void forward_by_matmul(const Inputs& in, at::Tensor& loss_T, at::Tensor& log_sum_T) {
  const int64_t T = in.hidden_TD.size(0), rows = chunk_rows(in.head_VD.size(0));
  const auto label_T = in.label_T.masked_fill(~in.mask_T, 0);
  for (int64_t begin = 0; begin < T; begin += rows) {
    const int64_t count = std::min(rows, T - begin);
    const auto logit_CV = wide_mm(in.hidden_TD.narrow(0, begin, count), in.head_VD.t());
    auto log_sum_C = log_sum_T.narrow(0, begin, count);
    at::logsumexp_out(log_sum_C, logit_CV, 1);
    const auto target_C = logit_CV.gather(1, label_T.narrow(0, begin, count).unsqueeze(1)).squeeze(1);
    loss_T.narrow(0, begin, count).copy_(log_sum_C - target_C);
  }
  loss_T.masked_fill_(~in.mask_T, 0);
}

void backward_by_matmul(const Inputs& in, const at::Tensor& log_sum_T, const at::Tensor& grad_loss_T,
                        Gradients& gradients) {
  const int64_t T = in.hidden_TD.size(0), rows = chunk_rows(in.head_VD.size(0));
  const auto label_T = in.label_T.masked_fill(~in.mask_T, 0);
  const auto weight_T = grad_loss_T.masked_fill(~in.mask_T, 0);
  for (int64_t begin = 0; begin < T; begin += rows) {
    const int64_t count = std::min(rows, T - begin);
    const auto hidden_CD = in.hidden_TD.narrow(0, begin, count);
    const auto weight_C1 = weight_T.narrow(0, begin, count).unsqueeze(1);
    auto grad_logit_CV = wide_mm(hidden_CD, in.head_VD.t());
    grad_logit_CV.sub_(log_sum_T.narrow(0, begin, count).unsqueeze(1)).exp_().mul_(weight_C1);
    grad_logit_CV.scatter_add_(1, label_T.narrow(0, begin, count).unsqueeze(1), -weight_C1);
    gradients.hidden_TD.narrow(0, begin, count).copy_(wide_mm(grad_logit_CV, in.head_VD));
    if (gradients.head_VD.defined()) add_wide_mm(gradients.head_VD, grad_logit_CV.t(), hidden_CD);
  }
}

struct CrossEntropy : torch::autograd::Function<CrossEntropy> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& hidden_TD, const at::Tensor& head_VD,
                            const at::Tensor& label_T, const at::Tensor& mask_T) {
    RECORD_USER_SCOPE("head");
    const Inputs in{hidden_TD.contiguous(), head_VD.contiguous(), label_T.contiguous(), mask_T.contiguous()};
    const auto dtype = hidden_TD.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    auto loss_T = at::zeros({hidden_TD.size(0)}, hidden_TD.options().dtype(dtype));
    auto log_sum_T = at::empty_like(loss_T);
    if (!kernels_fit(in)) {
      forward_by_matmul(in, loss_T, log_sum_T);
    } else if (dtype == hidden_TD.scalar_type()) {
      forward_by_kernels<float>(in, loss_T, log_sum_T);
    } else {
      forward_by_kernels<Bf16>(in, loss_T, log_sum_T);
    }
    context->save_for_backward({in.hidden_TD, head_VD, in.label_T, in.mask_T, log_sum_T});
    return loss_T;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    RECORD_USER_SCOPE("head backward");
    const auto saved = context->get_saved_variables();
    const auto &head_VD = saved[1], &log_sum_T = saved[4];
    const Inputs in{saved[0], head_VD.detach().contiguous(), saved[2], saved[3]};
    WeightGradient grad_head(head_VD);
    Gradients out{at::empty_like(in.hidden_TD), grad_head.sum()};
    const auto grad_loss_T = gradients[0].to(log_sum_T.scalar_type()).contiguous();
    if (!kernels_fit(in)) {
      backward_by_matmul(in, log_sum_T, grad_loss_T, out);
    } else if (in.hidden_TD.scalar_type() == at::kFloat) {
      backward_by_kernels<float>(in, log_sum_T, grad_loss_T, out);
    } else {
      backward_by_kernels<Bf16>(in, log_sum_T, grad_loss_T, out);
    }
    return {out.hidden_TD, grad_head.result(), at::Tensor(), at::Tensor()};
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
