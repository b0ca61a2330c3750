#pragma once
// Asks for the memory of the next panel while this one is in use: packing reads short pieces of many rows,
// which the hardware does not foresee.

#include "ops/simd.h"

namespace granule::GRANULE_ISA {

class Ahead {
 public:
  /// Nothing to ask for.
  Ahead() = default;
  /// `pieces` pieces of up to 128 bytes, `stride` bytes apart, to be asked for within `steps` calls.
  Ahead(const void* first, int64_t stride, int64_t pieces, int64_t steps)
      : next_(static_cast<const char*>(first)),
        stride_(stride),
        left_(pieces),
        per_step_(divide_up(pieces, larger<int64_t>(steps, 1))) {}

  void step() {
    for (int64_t i = smaller(per_step_, left_); i > 0; --i, --left_, next_ += stride_) {
      __builtin_prefetch(next_, 0, 2);
      __builtin_prefetch(next_ + 64, 0, 2);
    }
  }

 private:
  const char* next_ = nullptr;
  int64_t stride_ = 0, left_ = 0, per_step_ = 0;
};

}  // namespace granule::GRANULE_ISA
