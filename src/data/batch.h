#pragma once
// What a training step reads: rows of tokens, the token that follows each, and which of those count.

#include <ATen/core/Tensor.h>

namespace granule {

struct Batch {
  at::Tensor token_BS;      ///< int64 ids
  at::Tensor label_BS;      ///< int64 ids, the next token of each
  at::Tensor loss_mask_BS;  ///< bool: the label counts
  at::Tensor segment_BS;    ///< int64: equal neighbours attend to one another; 0 everywhere unless documents
                            ///< are kept apart, -1 = padding
};

}  // namespace granule
