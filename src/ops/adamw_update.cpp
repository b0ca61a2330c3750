#include "ops/adamw_update.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "ops/element_types.h"
#include "ops/kernels.h"

namespace granule {

namespace {

void check_slice(const at::Tensor& slice, int64_t n, at::ScalarType dtype) {
  CHECK(slice.numel() == n && slice.is_contiguous() && slice.scalar_type() == dtype, "slice of ",
        slice.numel(), " elements in ", slice.scalar_type(), ", expected ", n, " contiguous in ", dtype);
}

void update_piece_by_operators(const AdamWStep& step, const at::Tensor& master, const at::Tensor& m,
                               const at::Tensor& v, const at::Tensor& gradient, const at::Tensor& parameter) {
  const auto t = static_cast<double>(step.update);
  const auto g = gradient * step.gradient_scale;
  // Of fp32 moments these are the moments themselves.
  const auto new_m = m.to(at::kFloat).mul_(step.beta1).add_(g, 1 - step.beta1);
  const auto new_v = v.to(at::kFloat).mul_(step.beta2).addcmul_(g, g, 1 - step.beta2);
  const auto root = (new_v / (1 - std::pow(step.beta2, t))).sqrt_().add_(step.eps);
  const auto move = (new_m / (1 - std::pow(step.beta1, t))).div_(root).add_(master, step.weight_decay);
  m.copy_(new_m);
  v.copy_(new_v);
  master.sub_(move, step.lr);
  if (parameter.defined()) parameter.copy_(master);
}

// The same by operators, for any device: pieces, so that what they compute between takes little memory.
void update_by_operators(const AdamWStep& step, const at::Tensor& master, const at::Tensor& m,
                         const at::Tensor& v, const at::Tensor& gradient, const at::Tensor& parameter) {
  constexpr int64_t kPiece = int64_t{1} << 24;
  for (int64_t begin = 0; begin < master.numel(); begin += kPiece) {
    const int64_t count = std::min(kPiece, master.numel() - begin);
    const auto piece = [&](const at::Tensor& slice) { return slice.narrow(0, begin, count); };
    update_piece_by_operators(step, piece(master), piece(m), piece(v), piece(gradient),
                              parameter.defined() ? piece(parameter) : parameter);
  }
}

template <class Element>
void update_by_kernels(const AdamWStep& step, at::Tensor& master, at::Tensor& m, at::Tensor& v,
                       const at::Tensor& gradient, at::Tensor& parameter) {
  const auto t = static_cast<double>(step.update);
  const AdamWTask<Element> task{.lr = static_cast<float>(step.lr),
                                .beta1 = static_cast<float>(step.beta1),
                                .beta2 = static_cast<float>(step.beta2),
                                .eps = static_cast<float>(step.eps),
                                .weight_decay = static_cast<float>(step.weight_decay),
                                .gradient_scale = static_cast<float>(step.gradient_scale),
                                .rest1 = static_cast<float>(1 - step.beta1),
                                .rest2 = static_cast<float>(1 - step.beta2),
                                .correction1 = static_cast<float>(1 / (1 - std::pow(step.beta1, t))),
                                .correction2 = static_cast<float>(1 / (1 - std::pow(step.beta2, t))),
                                .master = master.mutable_data_ptr<float>(),
                                .m = elements<Element>(m),
                                .v = elements<Element>(v),
                                .gradient = gradient.const_data_ptr<float>(),
                                .parameter = parameter.defined() ? elements<Bf16>(parameter) : nullptr};
  constexpr int64_t kGrain = 1 << 14;
  at::parallel_for(0, master.numel(), kGrain,
                   [&](int64_t begin, int64_t end) { kernels<Element>().update_elements(task, begin, end); });
}

}  // namespace

void adamw_update(const AdamWStep& step, at::Tensor& master, at::Tensor& m, at::Tensor& v,
                  const at::Tensor& gradient, at::Tensor& parameter) {
  const int64_t n = master.numel();
  const bool bf16_moments = m.scalar_type() == at::kBFloat16;
  check_slice(master, n, at::kFloat);
  check_slice(gradient, n, at::kFloat);
  for (const auto* moment : {&m, &v}) check_slice(*moment, n, bf16_moments ? at::kBFloat16 : at::kFloat);
  if (parameter.defined()) check_slice(parameter, n, at::kBFloat16);
  CHECK(step.update >= 1, "update = ", step.update);
  if (!master.is_cpu()) return update_by_operators(step, master, m, v, gradient, parameter);
  if (bf16_moments) {
    update_by_kernels<Bf16>(step, master, m, v, gradient, parameter);
  } else {
    update_by_kernels<float>(step, master, m, v, gradient, parameter);
  }
}

}  // namespace granule
