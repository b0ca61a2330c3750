#include "model/capacity.h"

#include <ATen/ATen.h>

#include <cmath>
#include <vector>

#include "base/check.h"

namespace granule {

at::Tensor drop_over_capacity(const at::Tensor& chosen_TK, const SequenceLayout& layout, int64_t num_experts,
                              double factor) {
  if (factor == 0.0) return chosen_TK;
  if (!chosen_TK.is_cpu()) {
    // One token's place depends on all before it: done on the host.
    return drop_over_capacity(chosen_TK.to(at::kCPU), layout.to(at::kCPU), num_experts, factor)
        .to(chosen_TK.device());
  }
  const auto [T, K] = get_shape<2>(chosen_TK);
  auto kept_TK = chosen_TK.clone();
  auto* expert = kept_TK.data_ptr<int64_t>();
  const auto* sequence = layout.sequence_T.data_ptr<int64_t>();
  std::vector<int64_t> tokens(static_cast<size_t>(layout.num_sequences), 0);
  for (int64_t t = 0; t < T; ++t) {
    if (sequence[t] >= 0) ++tokens[static_cast<size_t>(sequence[t])];
  }
  const auto capacity_of = [&, K = K](size_t s) {
    // 1.1 x 400 / 8 is 55, also where the product is rounded up.
    constexpr double kRounding = 1 - 1e-12;
    return static_cast<int64_t>(std::ceil(factor * static_cast<double>(K * tokens[s]) /
                                          static_cast<double>(num_experts) * kRounding));
  };
  std::vector<int64_t> taken(static_cast<size_t>(layout.num_sequences * num_experts), 0);
  for (int64_t k = 0; k < K; ++k) {
    for (int64_t t = 0; t < T; ++t) {
      auto& choice = expert[t * K + k];
      if (choice < 0) continue;
      const auto s = static_cast<size_t>(sequence[t]);
      auto& places = taken[s * static_cast<size_t>(num_experts) + static_cast<size_t>(choice)];
      if (places == capacity_of(s)) {
        choice = -1;
      } else {
        ++places;
      }
    }
  }
  return kept_TK;
}

}  // namespace granule
