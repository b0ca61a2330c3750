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

/// In place: the parameter (fp32 [n]), m and v (both fp32 or both bf16 [n]) from gradient (fp32 [n]), in
/// fp32:
///   g = gradient * gradient_scale; m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2;
///   parameter -= lr * (m / (1-b1^t) / (sqrt(v / (1-b2^t)) + eps) + weight_decay * parameter)
/// A bf16 parameter has a `remainder` (int16 [n]) and stands with it for its master (ops/master_weights.h),
/// which is what is updated; an fp32 one has none. Moments are rounded when they are stored, to nearest.
/// Elements are independent of one another.
void adamw_update(const AdamWStep& step, const at::Tensor& parameter, const at::Tensor& remainder,
                  const at::Tensor& m, const at::Tensor& v, const at::Tensor& gradient);

}  // namespace granule
