#include "model/batch_counts.h"

#include <ATen/ATen.h>

namespace granule {

at::Tensor BatchCounts::add(const at::Tensor& count) {
  auto sum = count.clone();
  replica_.all_reduce_sum(sum);
  if (next_ == total_.size()) total_.push_back(at::zeros_like(sum));
  // Out of place: what was returned before is still in use.
  auto& total = total_[next_++];
  total = total + sum;
  return total;
}

}  // namespace granule
