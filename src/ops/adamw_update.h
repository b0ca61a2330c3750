#pragma once
// One AdamW step over flat slices (Loshchilov & Hutter 2019, decoupled decay), in one pass over memory.

#include <ATen/core/Tensor.h>

namespace granule {

struct AdamWStep {
  double lr = 0;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-8;
  double weight_decay = 0;    ///< of these elements
  double gradient_scale = 1;  ///< the clip factor
  int64_t update = 1;         ///< number of this update, from 1: for the bias corrections
};

/// What an update works on; all contiguous [n].
struct AdamWSlices {
  at::Tensor parameter;  ///< fp32, or bf16, which stands with its remainder for its master
  at::Tensor remainder;  ///< int16 (ops/master_weights.h); undefined beside an fp32 parameter
  at::Tensor m, v;       ///< both fp32 or both bf16
  at::Tensor gradient;   ///< fp32

  /// The elements [begin, begin + count), as views.
  AdamWSlices narrow(int64_t begin, int64_t count) const;
};

/// In place, parameter (or its master), m and v from gradient, in fp32:
///   g = gradient * gradient_scale; m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2;
///   parameter -= lr * (m / (1-b1^t) / (sqrt(v / (1-b2^t)) + eps) + weight_decay * parameter)
/// Moments are rounded when they are stored, to nearest. Elements are independent of one another.
void adamw_update(const AdamWStep& step, const AdamWSlices& slices);

}  // namespace granule
