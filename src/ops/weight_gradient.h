#pragma once
// Where the gradient of a weight goes: straight into its preset `.grad`, or back to autograd when there is
// none.

#include <ATen/core/Tensor.h>

namespace granule {

/// Lives for one backward call. A weight that needs no gradient has an undefined `sum()`.
class WeightGradient {
 public:
  explicit WeightGradient(const at::Tensor& weight);

  bool wanted() const { return sum_.defined(); }
  /// Contiguous, of the weight's shape, fp32 at least: whatever belongs to the gradient is added to it.
  at::Tensor& sum() { return sum_; }
  /// What backward returns for the weight: undefined when `sum()` is its `.grad`.
  at::Tensor result() const { return is_preset_ ? at::Tensor() : sum_; }

 private:
  bool is_preset_ = false;
  at::Tensor sum_;
};

}  // namespace granule
