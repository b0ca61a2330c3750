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

/// A table that is made longer when longer sequences come, each time to twice its length at least.
class GrowingRotaryTable {
 public:
  GrowingRotaryTable(int64_t head_dim, double theta) : head_dim_(head_dim), theta_(theta) {}

  /// Of positions 0 to `end_position` - 1 and maybe more, in the memory of `device`.
  const RotaryTable& up_to(int64_t end_position, at::Device device);

 private:
  int64_t head_dim_;
  double theta_;
  RotaryTable table_;
};

/// `x_BSHd` [B, S, heads, head_dim] turned by the angle of `position_BS` (int64); computed in fp32 at least.
/// Differentiable in x.
at::Tensor apply_rotary(const at::Tensor& x_BSHd, const at::Tensor& position_BS, const RotaryTable& table);

}  // namespace granule
