#pragma once
// Counts of a global batch, layer by layer, as far as they are known: those of the micro-batches so far, of
// all ranks.

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <vector>

#include "comm/communicator.h"

namespace granule {

class BatchCounts {
 public:
  /// For one step. `replica`: the ranks that share the global batch; must outlive the counts.
  explicit BatchCounts(Communicator& replica) : replica_(replica) {}

  /// The next `add` is for the first layer again.
  void begin_micro_batch() { next_ = 0; }
  /// Adds all ranks' `count` (int64, of one shape) of the next layer; returns its total so far. Collective.
  at::Tensor add(const at::Tensor& count);

 private:
  Communicator& replica_;
  std::vector<at::Tensor> total_;  // by layer
  size_t next_ = 0;
};

}  // namespace granule
