#include "ops/attention.h"

#include <ATen/ATen.h>

#include "base/check.h"

namespace granule {

namespace {

// [B, S, G, d] -> [B, H, S, d], head h reading group h / (H/G).
at::Tensor spread_groups(const at::Tensor& x_BSGd, int64_t num_heads) {
  const auto [B, S, G, d] = get_shape<4>(x_BSGd);
  const auto x_BGSd = x_BSGd.transpose(1, 2);
  if (G == num_heads) return x_BGSd;
  return x_BGSd.unsqueeze(2).expand({B, G, num_heads / G, S, d}).reshape({B, num_heads, S, d});
}

void check_heads(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  CHECK(q.dim() == 4 && k.dim() == 4 && v.sizes() == k.sizes(), "queries, keys and values disagree in shape");
  CHECK(q.size(0) == k.size(0) && q.size(3) == k.size(3), "queries and keys disagree in batch or head_dim");
  CHECK(q.size(2) % k.size(2) == 0, "heads ", q.size(2), " over ", k.size(2), " groups");
}

}  // namespace

at::Tensor causal_attention(const at::Tensor& q_BSHd, const at::Tensor& k_BSGd, const at::Tensor& v_BSGd,
                            const at::Tensor& segment_BS) {
  check_heads(q_BSHd, k_BSGd, v_BSGd);
  const auto [B, S, H, d] = get_shape<4>(q_BSHd);
  CHECK(k_BSGd.size(1) == S, "queries of ", S, " tokens, keys of ", k_BSGd.size(1));
  std::optional<at::Tensor> sees_B1SS;
  if (segment_BS.defined()) {
    const auto earlier_SS = at::ones({S, S}, at::kBool).tril();
    sees_B1SS = (segment_BS.unsqueeze(2) == segment_BS.unsqueeze(1)).logical_and(earlier_SS).unsqueeze(1);
  }
  return at::scaled_dot_product_attention(q_BSHd.transpose(1, 2), spread_groups(k_BSGd, H),
                                          spread_groups(v_BSGd, H), sees_B1SS, /*dropout_p=*/0.0,
                                          /*is_causal=*/!sees_B1SS.has_value())
      .transpose(1, 2);
}

at::Tensor cached_attention(const at::Tensor& q_BSHd, const at::Tensor& k_BPGd, const at::Tensor& v_BPGd) {
  check_heads(q_BSHd, k_BPGd, v_BPGd);
  const int64_t S = q_BSHd.size(1), H = q_BSHd.size(2), P = k_BPGd.size(1);
  CHECK(S <= P, "queries of ", S, " tokens, keys of ", P);
  const at::NoGradGuard no_gradients;
  const auto sees_SP = at::ones({S, P}, at::kBool).tril(P - S);
  return at::scaled_dot_product_attention(q_BSHd.transpose(1, 2), spread_groups(k_BPGd, H),
                                          spread_groups(v_BPGd, H), sees_SP)
      .transpose(1, 2);
}

}  // namespace granule
