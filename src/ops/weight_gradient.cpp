#include "ops/weight_gradient.h"

#include <ATen/ATen.h>

#include "base/check.h"

namespace granule {

WeightGradient::WeightGradient(const at::Tensor& weight) {
  if (!weight.requires_grad()) return;
  // A bf16 .grad is one that autograd itself made: it goes on adding to it.
  is_preset_ = weight.is_leaf() && weight.grad().defined() && weight.grad().scalar_type() != at::kBFloat16;
  if (is_preset_) {
    sum_ = weight.grad();
    CHECK(sum_.storage().nbytes() > 0, "a gradient comes before its memory");
    CHECK(sum_.is_contiguous() && sum_.sizes() == weight.sizes(), "a preset .grad has another layout");
  } else {
    const auto dtype = weight.scalar_type() == at::kBFloat16 ? at::kFloat : weight.scalar_type();
    sum_ =
        at::zeros(weight.sizes(), weight.options().dtype(dtype).memory_format(at::MemoryFormat::Contiguous));
  }
}

}  // namespace granule
