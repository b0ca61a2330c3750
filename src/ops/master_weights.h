#pragma once
// The fp32 masters of bf16 parameters in 16 bits more than these have, with nothing lost: a master's bits are
// (bits of the parameter << 16) + remainder. The parameter is the master rounded to nearest, ties away from
// zero: ties to even would leave two masters with the same remainder.

#include <ATen/core/Tensor.h>

namespace granule {

/// bf16: what parameters of these masters (fp32) are.
at::Tensor round_master(const at::Tensor& master);

/// fp32 from `parameter` (bf16) and `remainder` (int16), of the same shape.
at::Tensor join_master(const at::Tensor& parameter, const at::Tensor& remainder);

/// Writes both from `master`.
void split_master(const at::Tensor& master, const at::Tensor& parameter, const at::Tensor& remainder);

}  // namespace granule
