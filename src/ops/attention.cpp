#include "ops/attention.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/record_function.h>
#include <omp.h>
#include <torch/csrc/autograd/custom_function.h>

#include <atomic>
#include <cmath>
#include <unordered_set>

#include "base/check.h"
#include "ops/element_types.h"
#include "ops/kernels.h"
#include "ops/scratch.h"

namespace granule {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

void check_heads(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  CHECK(q.dim() == 4 && k.dim() == 4 && v.sizes() == k.sizes(), "queries, keys and values disagree in shape");
  CHECK(q.size(0) == k.size(0) && q.size(3) == k.size(3), "queries and keys disagree in batch or head_dim");
  CHECK(q.size(2) % k.size(2) == 0, "heads ", q.size(2), " over ", k.size(2), " groups");
}

// The first token that each token sees, or nothing if a segment comes back after another: no interval then.
// What padding sees is all the same.
at::Tensor first_seen(const at::Tensor& segment_BS) {
  const auto ids_BS = segment_BS.contiguous();
  const auto [B, S] = get_shape<2>(ids_BS);
  auto first_BS = at::empty({B, S}, at::kLong);
  for (int64_t b = 0; b < B; ++b) {
    const auto* id = ids_BS.const_data_ptr<int64_t>() + b * S;
    auto* first = first_BS.mutable_data_ptr<int64_t>() + b * S;
    std::unordered_set<int64_t> seen;
    for (int64_t s = 0; s < S; ++s) {
      const bool goes_on = s > 0 && id[s] == id[s - 1];
      if (!goes_on && id[s] >= 0 && !seen.insert(id[s]).second) return {};
      first[s] = goes_on ? first[s - 1] : s;
    }
  }
  return first_BS;
}

struct Tensors {
  at::Tensor q_BSHd, k_BSGd, v_BSGd, first_BS, out_BSHd, log_sum_BHS;
  at::Tensor grad_out_BSHd, grad_q_BSHd, grad_k_BSGd, grad_v_BSGd;
};

// `run(task, scratch)` for every sequence and key head, each by one thread.
template <class Element, class Run>
void for_tasks(const Tensors& t, size_t scratch_bytes, const Run& run) {
  const auto [B, S, H, dim] = get_shape<4>(t.q_BSHd);
  const int64_t G = t.k_BSGd.size(2);
  const auto threads = static_cast<int>(std::min<int64_t>(at::get_num_threads(), B * G));
  if (threads == 0) return;
  const size_t own_bytes = round_to_line(scratch_bytes);
  std::byte* scratch = thread_scratch(own_bytes * static_cast<size_t>(threads));
  const auto at_sequence = [](const at::Tensor& tensor, int64_t b) {
    return tensor.defined() ? elements<Element>(tensor) + b * tensor.stride(0) : nullptr;
  };
  std::atomic<int64_t> next = 0;
  const int64_t num_tasks = B * G;
  const auto work = [&, S = S, H = H, dim = dim] {
    std::byte* own = scratch + own_bytes * static_cast<size_t>(omp_get_thread_num());
    for (int64_t i = next++; i < num_tasks; i = next++) {
      const int64_t b = i / G;
      run({.S = S,
           .H = H,
           .G = G,
           .dim = dim,
           .group = i % G,
           .first = t.first_BS.const_data_ptr<int64_t>() + b * S,
           .scale = static_cast<float>(1 / std::sqrt(static_cast<double>(dim))),
           .q_SHd = at_sequence(t.q_BSHd, b),
           .k_SGd = at_sequence(t.k_BSGd, b),
           .v_SGd = at_sequence(t.v_BSGd, b),
           .out_SHd = at_sequence(t.out_BSHd, b),
           .log_sum_HS = t.log_sum_BHS.mutable_data_ptr<float>() + b * H * S,
           .grad_out_SHd = at_sequence(t.grad_out_BSHd, b),
           .grad_q_SHd = at_sequence(t.grad_q_BSHd, b),
           .grad_k_SGd = at_sequence(t.grad_k_BSGd, b),
           .grad_v_SGd = at_sequence(t.grad_v_BSGd, b)},
          own);
    }
  };
#pragma omp parallel num_threads(threads)
  work();
}

template <class Element>
void forward(const Tensors& t) {
  const auto& own = kernels<Element>();
  for_tasks<Element>(t, own.attention_forward_bytes(t.q_BSHd.size(1), t.q_BSHd.size(3)),
                     own.attention_forward);
}

template <class Element>
void backward(const Tensors& t) {
  const auto& own = kernels<Element>();
  for_tasks<Element>(t, own.attention_backward_bytes(t.q_BSHd.size(1), t.q_BSHd.size(3)),
                     own.attention_backward);
}

struct KernelAttention : torch::autograd::Function<KernelAttention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& q, const at::Tensor& k,
                            const at::Tensor& v, const at::Tensor& first_BS) {
    Tensors t{
        .q_BSHd = q.contiguous(), .k_BSGd = k.contiguous(), .v_BSGd = v.contiguous(), .first_BS = first_BS};
    t.out_BSHd = at::empty_like(t.q_BSHd);
    t.log_sum_BHS = at::empty({q.size(0), q.size(2), q.size(1)}, q.options().dtype(at::kFloat));
    with_element(q.scalar_type(), [&]<class Element>(Element) { granule::forward<Element>(t); });
    context->save_for_backward({t.q_BSHd, t.k_BSGd, t.v_BSGd, first_BS, t.out_BSHd, t.log_sum_BHS});
    return t.out_BSHd;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    RECORD_USER_SCOPE("attention backward");
    const auto saved = context->get_saved_variables();
    const Tensors t{.q_BSHd = saved[0],
                    .k_BSGd = saved[1],
                    .v_BSGd = saved[2],
                    .first_BS = saved[3],
                    .out_BSHd = saved[4],
                    .log_sum_BHS = saved[5],
                    .grad_out_BSHd = gradients[0].contiguous(),
                    .grad_q_BSHd = at::empty_like(saved[0]),
                    .grad_k_BSGd = at::empty_like(saved[1]),
                    .grad_v_BSGd = at::empty_like(saved[2])};
    with_element(t.q_BSHd.scalar_type(), [&]<class Element>(Element) { granule::backward<Element>(t); });
    return {t.grad_q_BSHd, t.grad_k_BSGd, t.grad_v_BSGd, at::Tensor()};
  }
};

// [B, S, G, d] -> [B, H, S, d], head h reading group h / (H/G).
at::Tensor spread_groups(const at::Tensor& x_BSGd, int64_t num_heads) {
  const auto [B, S, G, d] = get_shape<4>(x_BSGd);
  const auto x_BGSd = x_BSGd.transpose(1, 2);
  if (G == num_heads) return x_BGSd;
  return x_BGSd.unsqueeze(2).expand({B, G, num_heads / G, S, d}).reshape({B, num_heads, S, d});
}

// LibTorch's own attention; `sees` [.., S, P] tells which keys a query sees.
at::Tensor masked_attention(const at::Tensor& q_BSHd, const at::Tensor& k_BPGd, const at::Tensor& v_BPGd,
                            const at::Tensor& sees) {
  const int64_t H = q_BSHd.size(2);
  return at::scaled_dot_product_attention(q_BSHd.transpose(1, 2), spread_groups(k_BPGd, H),
                                          spread_groups(v_BPGd, H), sees)
      .transpose(1, 2);
}

at::Tensor attention_by_operators(const at::Tensor& q_BSHd, const at::Tensor& k_BSGd,
                                  const at::Tensor& v_BSGd, const at::Tensor& segment_BS) {
  const int64_t S = q_BSHd.size(1), H = q_BSHd.size(2);
  if (!segment_BS.defined() && !q_BSHd.is_cpu()) {
    // Said rather than shown by a mask, the order of time lets LibTorch take its fast ways.
    return at::scaled_dot_product_attention(q_BSHd.transpose(1, 2), spread_groups(k_BSGd, H),
                                            spread_groups(v_BSGd, H), {}, /*dropout_p=*/0.0,
                                            /*is_causal=*/true)
        .transpose(1, 2);
  }
  auto sees = at::ones({S, S}, q_BSHd.options().dtype(at::kBool)).tril();
  if (segment_BS.defined()) {
    sees = (segment_BS.unsqueeze(2) == segment_BS.unsqueeze(1)).logical_and(sees).unsqueeze(1);
  }
  return masked_attention(q_BSHd, k_BSGd, v_BSGd, sees);
}

// cuDNN's attention makes a plan for every new shape, and here each token is one.
class WithoutPlans {
 public:
  WithoutPlans() : before_(at::globalContext().userEnabledCuDNNSDP()) {
    at::globalContext().setSDPUseCuDNN(false);
  }
  ~WithoutPlans() { at::globalContext().setSDPUseCuDNN(before_); }
  WithoutPlans(const WithoutPlans&) = delete;
  WithoutPlans& operator=(const WithoutPlans&) = delete;

 private:
  const bool before_;
};

}  // namespace

at::Tensor causal_attention(const at::Tensor& q_BSHd, const at::Tensor& k_BSGd, const at::Tensor& v_BSGd,
                            const at::Tensor& segment_BS) {
  RECORD_USER_SCOPE("attention");
  check_heads(q_BSHd, k_BSGd, v_BSGd);
  const auto [B, S, H, dim] = get_shape<4>(q_BSHd);
  CHECK(k_BSGd.size(1) == S, "queries of ", S, " tokens, keys of ", k_BSGd.size(1));
  const auto dtype = q_BSHd.scalar_type();
  CHECK(k_BSGd.scalar_type() == dtype && v_BSGd.scalar_type() == dtype,
        "queries, keys and values differ in dtype");
  if (kernels_take(q_BSHd, dim)) {
    const auto first_BS = segment_BS.defined() ? first_seen(segment_BS) : at::zeros({B, S}, at::kLong);
    if (first_BS.defined()) return KernelAttention::apply(q_BSHd, k_BSGd, v_BSGd, first_BS);
  }
  return attention_by_operators(q_BSHd, k_BSGd, v_BSGd, segment_BS);
}

at::Tensor cached_attention(const at::Tensor& q_BSHd, const at::Tensor& k_BPGd, const at::Tensor& v_BPGd,
                            const at::Tensor& sees_B1SP) {
  check_heads(q_BSHd, k_BPGd, v_BPGd);
  const auto [B, S, H, dim] = get_shape<4>(q_BSHd);
  const int64_t P = k_BPGd.size(1), G = k_BPGd.size(2);
  CHECK(sees_B1SP.sizes() == (at::IntArrayRef{B, 1, S, P}), "mask of ", sees_B1SP.sizes());
  const at::NoGradGuard no_gradients;
  const WithoutPlans without_plans;
  // The queries that share a key head become rows of one: keys and values are read where they are, not
  // copied.
  const int64_t R = H / G;
  const auto q_BGQd = q_BSHd.reshape({B, S, G, R, dim}).permute({0, 2, 3, 1, 4}).reshape({B, G, R * S, dim});
  const auto sees_B1QP = sees_B1SP.unsqueeze(2).expand({B, 1, R, S, P}).reshape({B, 1, R * S, P});
  const auto mixed_BGQd =
      at::scaled_dot_product_attention(q_BGQd, k_BPGd.transpose(1, 2), v_BPGd.transpose(1, 2), sees_B1QP);
  return mixed_BGQd.reshape({B, G, R, S, dim}).permute({0, 3, 1, 2, 4}).reshape({B, S, H, dim});
}

}  // namespace granule
