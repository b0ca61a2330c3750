#include "ops/adamw_update.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cmath>

#include "base/check.h"

namespace granule {

namespace {

void check_slice(const at::Tensor& slice, int64_t n) {
  CHECK(slice.numel() == n && slice.is_contiguous() && slice.scalar_type() == at::kFloat, "slice of ",
        slice.numel(), " elements, expected ", n, " contiguous in fp32");
}

// The same by operators, for any device.
void update_by_operators(const AdamWStep& step, at::Tensor& master, at::Tensor& m, at::Tensor& v,
                         const at::Tensor& gradient, at::Tensor& parameter) {
  const auto t = static_cast<double>(step.update);
  const auto g = gradient * step.gradient_scale;
  m.mul_(step.beta1).add_(g, 1 - step.beta1);
  v.mul_(step.beta2).addcmul_(g, g, 1 - step.beta2);
  const auto root = (v / (1 - std::pow(step.beta2, t))).sqrt_().add_(step.eps);
  const auto move = (m / (1 - std::pow(step.beta1, t))).div_(root).add_(master, step.weight_decay);
  master.sub_(move, step.lr);
  if (parameter.defined()) parameter.copy_(master);
}

}  // namespace

void adamw_update(const AdamWStep& step, at::Tensor& master, at::Tensor& m, at::Tensor& v,
                  const at::Tensor& gradient, at::Tensor& parameter) {
  const int64_t n = master.numel();
  check_slice(master, n);
  check_slice(m, n);
  check_slice(v, n);
  check_slice(gradient, n);
  CHECK(step.update >= 1, "update = ", step.update);
  if (parameter.defined()) {
    CHECK(parameter.numel() == n && parameter.is_contiguous(), "the copy has another length");
  }
  if (!master.is_cpu()) return update_by_operators(step, master, m, v, gradient, parameter);
  const auto t = static_cast<double>(step.update);
  const auto beta1 = static_cast<float>(step.beta1), beta2 = static_cast<float>(step.beta2);
  const auto rest1 = static_cast<float>(1 - step.beta1), rest2 = static_cast<float>(1 - step.beta2);
  const auto correction1 = static_cast<float>(1 / (1 - std::pow(step.beta1, t)));
  const auto correction2 = static_cast<float>(1 / (1 - std::pow(step.beta2, t)));
  const auto lr = static_cast<float>(step.lr), eps = static_cast<float>(step.eps);
  const auto decay = static_cast<float>(step.weight_decay), scale = static_cast<float>(step.gradient_scale);

  auto* w = master.mutable_data_ptr<float>();
  auto* first = m.mutable_data_ptr<float>();
  auto* second = v.mutable_data_ptr<float>();
  const auto* grad = gradient.const_data_ptr<float>();
  c10::BFloat16* copy = nullptr;
  if (parameter.defined()) copy = parameter.mutable_data_ptr<c10::BFloat16>();
  at::parallel_for(0, n, 1 << 14, [&](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) {
      const float g = grad[i] * scale;
      first[i] = beta1 * first[i] + rest1 * g;
      second[i] = beta2 * second[i] + rest2 * g * g;
      w[i] -= lr * (first[i] * correction1 / (std::sqrt(second[i] * correction2) + eps) + decay * w[i]);
    }
    if (copy == nullptr) return;
    for (int64_t i = begin; i < end; ++i) copy[i] = c10::BFloat16(w[i]);
  });
}

}  // namespace granule
