#include "ops/adamw_update.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "ops/element_types.h"
#include "ops/kernels.h"
#include "ops/master_weights.h"

namespace granule {

namespace {

void check_slice(const at::Tensor& slice, int64_t n, at::ScalarType dtype) {
  CHECK(slice.numel() == n && slice.is_contiguous() && slice.scalar_type() == dtype, "slice of ",
        slice.numel(), " elements in ", slice.scalar_type(), ", expected ", n, " contiguous in ", dtype);
}

void update_piece_by_operators(const AdamWStep& step, const AdamWSlices& piece) {
  const auto t = static_cast<double>(step.update);
  const auto g = piece.gradient * step.gradient_scale;
  // Of fp32 moments these are the moments themselves, and likewise of fp32 parameters.
  const auto new_m = piece.m.to(at::kFloat).mul_(step.beta1).add_(g, 1 - step.beta1);
  const auto new_v = piece.v.to(at::kFloat).mul_(step.beta2).addcmul_(g, g, 1 - step.beta2);
  const auto master =
      piece.remainder.defined() ? join_master(piece.parameter, piece.remainder) : piece.parameter;
  const auto root = (new_v / (1 - std::pow(step.beta2, t))).sqrt_().add_(step.eps);
  const auto move = (new_m / (1 - std::pow(step.beta1, t))).div_(root).add_(master, step.weight_decay);
  piece.m.copy_(new_m);
  piece.v.copy_(new_v);
  master.sub_(move, step.lr);
  if (piece.remainder.defined()) split_master(master, piece.parameter, piece.remainder);
}

// The same by operators, for any device: pieces, so that what they compute between takes little memory.
void update_by_operators(const AdamWStep& step, const AdamWSlices& all) {
  constexpr int64_t kPiece = int64_t{1} << 24;
  const int64_t n = all.parameter.numel();
  for (int64_t begin = 0; begin < n; begin += kPiece) {
    update_piece_by_operators(step, all.narrow(begin, std::min(kPiece, n - begin)));
  }
}

template <class Element>
void update_by_kernels(const AdamWStep& step, const AdamWSlices& all) {
  const bool halves = all.remainder.defined();
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
                                .master = halves ? nullptr : all.parameter.mutable_data_ptr<float>(),
                                .parameter = halves ? elements<Bf16>(all.parameter) : nullptr,
                                .remainder = halves ? all.remainder.mutable_data_ptr<int16_t>() : nullptr,
                                .m = elements<Element>(all.m),
                                .v = elements<Element>(all.v),
                                .gradient = all.gradient.const_data_ptr<float>()};
  constexpr int64_t kGrain = 1 << 14;
  at::parallel_for(0, all.parameter.numel(), kGrain,
                   [&](int64_t begin, int64_t end) { kernels<Element>().update_elements(task, begin, end); });
}

}  // namespace

AdamWSlices AdamWSlices::narrow(int64_t begin, int64_t count) const {
  const auto part = [&](const at::Tensor& slice) {
    return slice.defined() ? slice.narrow(0, begin, count) : slice;
  };
  return {part(parameter), part(remainder), part(m), part(v), part(gradient)};
}

void adamw_update(const AdamWStep& step, const AdamWSlices& slices) {
  const int64_t n = slices.parameter.numel();
  const bool in_halves = slices.remainder.defined(), bf16_moments = slices.m.scalar_type() == at::kBFloat16;
  check_slice(slices.parameter, n, in_halves ? at::kBFloat16 : at::kFloat);
  if (in_halves) check_slice(slices.remainder, n, at::kShort);
  check_slice(slices.gradient, n, at::kFloat);
  for (const auto* moment : {&slices.m, &slices.v}) {
    check_slice(*moment, n, bf16_moments ? at::kBFloat16 : at::kFloat);
  }
  CHECK(step.update >= 1, "update = ", step.update);
  if (!slices.parameter.is_cpu()) return update_by_operators(step, slices);
  if (bf16_moments) {
    update_by_kernels<Bf16>(step, slices);
  } else {
    update_by_kernels<float>(step, slices);
  }
}

}  // namespace granule
