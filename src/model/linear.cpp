#include "model/linear.h"

#include <ATen/ATen.h>

#include "ops/linear.h"

namespace granule {

Linear::Linear(int64_t in, int64_t out, at::TensorOptions options) : AdaptableMatrix({out, in}, options) {}

at::Tensor Linear::forward(const at::Tensor& x_TI, const std::optional<BatchPlace>& place) const {
  const auto y_TO = apply_linear(x_TI, weight());
  return is_adapted() ? y_TO + delta(x_TI, {x_TI.size(0)}, place) : y_TO;
}

}  // namespace granule
