#pragma once
// Rotary position embedding, half-split form (rotate_half): feature i of a head turns together with i +
// dim/2.

#include <ATen/core/Tensor.h>

namespace granule {

/// cos and sin of position * theta^(-2i/dim), fp32 [max_position, dim / 2] each.
struct RotaryTable {
  at::Tensor cos_Pd;
  at::Tensor sin_Pd;
};
RotaryTable make_rotary_table(int64_t max_position, int64_t head_dim, double theta);

/// `x_BSHd` [B, S, heads, head_dim] turned by the angle of `position_BS` (int64); computed in fp32 at least.
/// Differentiable in x.
at::Tensor apply_rotary(const at::Tensor& x_BSHd, const at::Tensor& position_BS, const RotaryTable& table);

}  // namespace granule
