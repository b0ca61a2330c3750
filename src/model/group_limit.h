#pragma once
// Grouped routing: a token's experts lie in at most M groups (devices or nodes), those that score best.

#include <ATen/core/Tensor.h>

#include "model/router_config.h"

namespace granule {

/// `score_TE` with -inf for experts outside each token's best topk_group of n_group groups. A group's score
/// is its best expert's (arXiv 2405.04434) or the sum of its two best (arXiv 2412.19437); ties go to the
/// lower group.
at::Tensor limit_to_groups(const at::Tensor& score_TE, const RouterConfig& config);

}  // namespace granule
