#pragma once
// Expert capacity: how many tokens of a sequence an expert takes before it drops the rest (arXiv 2006.16668).

#include <ATen/core/Tensor.h>

#include "model/forward_context.h"

namespace granule {

/// `chosen_TK` with -1 where the expert has no room: of a sequence with n tokens it takes ceil(factor * K * n
/// / E). First choices of all tokens take their places in token order before any second choice does. Factor
/// 0: no limit.
at::Tensor drop_over_capacity(const at::Tensor& chosen_TK, const SequenceLayout& layout, int64_t num_experts,
                              double factor);

}  // namespace granule
