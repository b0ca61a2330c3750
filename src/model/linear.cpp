#include "model/linear.h"

#include <ATen/ATen.h>

#include "ops/linear.h"

namespace granule {

Linear::Linear(int64_t in, int64_t out, at::TensorOptions options) {
  weight_ = register_parameter("weight", at::empty({out, in}, options));
}

at::Tensor Linear::forward(const at::Tensor& x) const { return apply_linear(x, weight_); }

}  // namespace granule
