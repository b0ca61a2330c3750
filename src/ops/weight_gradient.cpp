#include "ops/weight_gradient.h"

#include <ATen/ATen.h>

#include "base/check.h"

namespace granule {

WeightGradient::WeightGradient(const at::Tensor& weight) {
  if (!weight.requires_grad()) return;
  is_preset_ = weight.is_leaf() && weight.grad().defined();
  if (is_preset_) {
    sum_ = weight.grad();
    CHECK(sum_.is_contiguous() && sum_.scalar_type() != at::kBFloat16,
          "a preset .grad is contiguous and fp32 at least");
  } else {
    const auto dtype = weight.scalar_type() == at::kBFloat16 ? at::kFloat : weight.scalar_type();
    sum_ =
        at::zeros(weight.sizes(), weight.options().dtype(dtype).memory_format(at::MemoryFormat::Contiguous));
  }
}

}  // namespace granule
