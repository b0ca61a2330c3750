#include "model/norm.h"

#include <ATen/ATen.h>

#include "ops/rms_norm.h"

namespace granule {

RmsNorm::RmsNorm(int64_t size, double eps, at::TensorOptions options) : eps_(eps) {
  weight_D_ = register_parameter("weight", at::empty({size}, options));
}

at::Tensor RmsNorm::forward(const at::Tensor& x) const { return rms_norm(x, weight_D_, eps_); }

}  // namespace granule
