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

/// In place: master (fp32 [n]), m and v (both fp32 or both bf16 [n]) from gradient (fp32 [n]), in fp32:
///   g = gradient * gradient_scale; m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2;
///   master -= lr * (m / (1-b1^t) / (sqrt(v / (1-b2^t)) + eps) + weight_decay * master)
/// and, if `parameter` (bf16 [n]) is defined, its rounded copy. Moments are rounded when they are stored, to
/// nearest. Elements are independent of one another.
void adamw_update(const AdamWStep& step, at::Tensor& master, at::Tensor& m, at::Tensor& v,
                  const at::Tensor& gradient, at::Tensor& parameter);

}  // namespace granule
