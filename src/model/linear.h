#pragma once
// A linear map without bias, weight in [out, in] layout; it may have an adapter.

#include <ATen/core/Tensor.h>

#include "model/lora.h"

namespace granule {

class Linear : public AdaptableMatrix {
 public:
  Linear(int64_t in, int64_t out, at::TensorOptions options);
  /// `x_TI` are the tokens of a micro-batch, which stands at `place` in training.
  at::Tensor forward(const at::Tensor& x_TI, const std::optional<BatchPlace>& place = {}) const;
};

}  // namespace granule
