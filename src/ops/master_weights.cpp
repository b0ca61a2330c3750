#include "ops/master_weights.h"

#include <ATen/ATen.h>

#include "base/check.h"

namespace granule {

namespace {

constexpr int kHalfBits = 16;

// int32: the parameter's bits, in the low half.
at::Tensor rounded_bits(const at::Tensor& master) {
  CHECK(master.scalar_type() == at::kFloat, "masters in ", master.scalar_type());
  return (master.view(at::kInt) + (1 << (kHalfBits - 1))).bitwise_right_shift_(kHalfBits);
}

}  // namespace

at::Tensor round_master(const at::Tensor& master) {
  return rounded_bits(master).to(at::kShort).view(at::kBFloat16);
}

at::Tensor join_master(const at::Tensor& parameter, const at::Tensor& remainder) {
  CHECK(parameter.scalar_type() == at::kBFloat16 && remainder.scalar_type() == at::kShort, "halves in ",
        parameter.scalar_type(), " and ", remainder.scalar_type());
  return parameter.view(at::kShort)
      .to(at::kInt)
      .bitwise_left_shift_(kHalfBits)
      .add_(remainder)
      .view(at::kFloat);
}

void split_master(const at::Tensor& master, const at::Tensor& parameter, const at::Tensor& remainder) {
  const auto bits = rounded_bits(master);
  parameter.view(at::kShort).copy_(bits);
  remainder.copy_(master.view(at::kInt) - bits.bitwise_left_shift(kHalfBits));
}

}  // namespace granule
