#pragma once
// The K largest scores of each row; of equal scores the lower id wins.

#include <ATen/core/Tensor.h>

namespace granule {

/// int64 [T, K], best first. `score_TE` fp32 or fp64; NaN counts as the lowest value.
at::Tensor top_k_ids(const at::Tensor& score_TE, int64_t k);

}  // namespace granule
