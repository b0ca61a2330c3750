#include "ops/adamw_update.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <bit>
#include <cmath>

#include "base/check.h"

namespace granule {

namespace {

void check_slice(const at::Tensor& slice, int64_t n, at::ScalarType dtype) {
  CHECK(slice.numel() == n && slice.is_contiguous() && slice.scalar_type() == dtype, "slice of ",
        slice.numel(), " elements in ", slice.scalar_type(), ", expected ", n, " contiguous in ", dtype);
}

// The same by operators, for any device.
void update_by_operators(const AdamWStep& step, at::Tensor& master, at::Tensor& m, at::Tensor& v,
                         const at::Tensor& gradient, at::Tensor& parameter) {
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

// bf16 as its bits: the compiler makes vectors of this, not of c10::BFloat16.
float widened(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}
float widened(float value) {
  return value;
}
void store_rounded(float& place, float value) {
  place = value;
}
// To nearest, ties to even.
void store_rounded(uint16_t& place, float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  place = static_cast<uint16_t>(std::isnan(value) ? 0x7fc0 : rounded);
}

// `Moment` is float, or uint16_t for bf16; `copy` may be null.
template <class Moment>
void update(const AdamWStep& step, int64_t n, float* w, Moment* m, Moment* v, const float* gradient,
            uint16_t* copy) {
  const auto t = static_cast<double>(step.update);
  const auto beta1 = static_cast<float>(step.beta1), beta2 = static_cast<float>(step.beta2);
  const auto rest1 = static_cast<float>(1 - step.beta1), rest2 = static_cast<float>(1 - step.beta2);
  const auto correction1 = static_cast<float>(1 / (1 - std::pow(step.beta1, t)));
  const auto correction2 = static_cast<float>(1 / (1 - std::pow(step.beta2, t)));
  const auto lr = static_cast<float>(step.lr), eps = static_cast<float>(step.eps);
  const auto decay = static_cast<float>(step.weight_decay), scale = static_cast<float>(step.gradient_scale);
  at::parallel_for(0, n, 1 << 14, [&](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) {
      const float g = gradient[i] * scale;
      const float new_m = beta1 * widened(m[i]) + rest1 * g;
      const float new_v = beta2 * widened(v[i]) + rest2 * g * g;
      w[i] -= lr * (new_m * correction1 / (std::sqrt(new_v * correction2) + eps) + decay * w[i]);
      store_rounded(m[i], new_m);
      store_rounded(v[i], new_v);
    }
    if (copy == nullptr) return;
    for (int64_t i = begin; i < end; ++i) store_rounded(copy[i], w[i]);
  });
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
  const auto bits = [](at::Tensor& bf16) { return static_cast<uint16_t*>(bf16.mutable_data_ptr()); };
  auto* w = master.mutable_data_ptr<float>();
  const auto* g = gradient.const_data_ptr<float>();
  auto* copy = parameter.defined() ? bits(parameter) : nullptr;
  if (bf16_moments) {
    update(step, n, w, bits(m), bits(v), g, copy);
  } else {
    update(step, n, w, m.mutable_data_ptr<float>(), v.mutable_data_ptr<float>(), g, copy);
  }
}

}  // namespace granule
