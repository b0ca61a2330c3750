#include "ops/wide_matmul.h"

#include <ATen/ATen.h>

namespace granule {

namespace {

bool is_bf16(const at::Tensor& x) {
  return x.scalar_type() == at::kBFloat16;
}

// Only CUDA multiplies bf16 matrices into an fp32 one.
bool has_wide_result(const at::Tensor& a, const at::Tensor& b) {
  return a.is_cuda() && (is_bf16(a) || is_bf16(b));
}

at::Tensor wide_mm_of_cuda(const at::Tensor& a, const at::Tensor& b) {
  return at::mm(a.to(at::kBFloat16), b.to(at::kBFloat16), at::kFloat);
}

}  // namespace

at::Tensor widen(const at::Tensor& x) {
  return is_bf16(x) ? x.to(at::kFloat) : x;
}

at::Tensor wide_mm(const at::Tensor& a, const at::Tensor& b) {
  return has_wide_result(a, b) ? wide_mm_of_cuda(a, b) : at::mm(widen(a), widen(b));
}

void add_wide_mm(at::Tensor& sum_RC, const at::Tensor& a, const at::Tensor& b) {
  if (has_wide_result(a, b)) {
    sum_RC.add_(wide_mm_of_cuda(a, b));
  } else {
    sum_RC.addmm_(widen(a), widen(b));
  }
}

}  // namespace granule
