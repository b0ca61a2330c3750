#include "ops/attention.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/ops/every_isa.h"
#include "tests/support/gradient_check.h"
#include "tests/support/naive_ops.h"
#include "tests/support/tensor_compare.h"

namespace granule {
namespace {

struct Shape {
  int64_t B, S, H, G, dim;
};

// Documents of random lengths one after the other, the rest of the row padding.
at::Tensor random_segments(int64_t B, int64_t S) {
  auto segment_BS = at::full({B, S}, -1, at::kLong);
  for (int64_t b = 0; b < B; ++b) {
    int64_t begin = 0;
    for (int64_t segment = 0; begin < S - S / 8; ++segment) {
      const int64_t count = std::min(S - S / 8 - begin, at::randint(1, S + 1, {1}).item<int64_t>());
      segment_BS[b].narrow(0, begin, count).fill_(segment);
      begin += count;
    }
  }
  return segment_BS;
}

// Value and gradients of random inputs. Padding, too, is one document.
void expect_naive(const Shape& shape, at::ScalarType dtype, double tolerance, const at::Tensor& segment_BS) {
  const auto& [B, S, H, G, dim] = shape;
  const auto q = at::randn({B, S, H, dim}).to(dtype).set_requires_grad(true);
  const auto k = at::randn({B, S, G, dim}).to(dtype).set_requires_grad(true);
  const auto v = at::randn({B, S, G, dim}).to(dtype).set_requires_grad(true);
  const auto grad = at::randn({B, S, H, dim}).to(dtype);
  const auto out = causal_attention(q, k, v, segment_BS);
  out.backward(grad);
  const auto expected = naive_attention(q, k, v, segment_BS, grad);
  EXPECT_EQ(out.scalar_type(), dtype);
  EXPECT_TENSOR_NEAR(out, expected.out_BSHd, tolerance);
  EXPECT_TENSOR_NEAR(q.grad(), expected.grad_q_BSHd, 2 * tolerance);
  EXPECT_TENSOR_NEAR(k.grad(), expected.grad_k_BPGd, 4 * tolerance);
  EXPECT_TENSOR_NEAR(v.grad(), expected.grad_v_BPGd, 4 * tolerance);
  EXPECT_TRUE(out.isfinite().all().item<bool>());
}

class AttentionOfDtype : public testing::TestWithParam<std::tuple<Isa, at::ScalarType, double>> {};

TEST_P(AttentionOfDtype, ValueAndGradientsEqualTheNaiveLoop) {
  const auto [isa, dtype, tolerance] = GetParam();
  const IsaScope scope(isa);
  at::manual_seed(8);
  for (const auto& [B, S, H, G, dim] :
       {Shape{1, 1, 1, 1, 8}, Shape{2, 13, 4, 4, 16}, Shape{1, 33, 6, 2, 24}, Shape{2, 70, 3, 1, 10},
        Shape{1, 150, 2, 2, 64}, Shape{1, 530, 2, 1, 16}, Shape{2, 41, 2, 2, 48}}) {
    for (const bool packed : {false, true}) {
      SCOPED_TRACE(testing::Message()
                   << "S " << S << ", heads " << H << "/" << G << (packed ? ", packed" : ""));
      expect_naive({B, S, H, G, dim}, dtype, tolerance, packed ? random_segments(B, S) : at::Tensor());
    }
  }
}

// Tiles of rows and blocks of 512 keys: a document that begins within a tile whose first row sees further
// back than its first block.
TEST_P(AttentionOfDtype, DocumentsBeginAnywhereBehindLongOnes) {
  const auto [isa, dtype, tolerance] = GetParam();
  const IsaScope scope(isa);
  at::manual_seed(9);
  constexpr int64_t S = 1200;
  for (const int64_t dim : {16, 32, 48, 64, 128}) {
    for (const auto& begins : {std::vector<int64_t>{0, 601, 1030}, {0, 523, 1037, 1038}}) {
      SCOPED_TRACE(testing::Message() << "head_dim " << dim << ", documents from " << begins[1] << " on");
      auto segment_BS = at::zeros({1, S}, at::kLong);
      for (const auto begin : begins) segment_BS.narrow(1, begin, S - begin) += 1;
      segment_BS.narrow(1, begins.back() + 7, S - begins.back() - 7).fill_(-1);
      expect_naive({1, S, 1, 1, dim}, dtype, tolerance, segment_BS);
    }
  }
}

TEST_P(AttentionOfDtype, ANaNIsNotHidden) {
  const auto [isa, dtype, tolerance] = GetParam();
  const IsaScope scope(isa);
  for (const int64_t S : {20, 600}) {
    const auto q = at::randn({1, S, 1, 16}), k = at::randn({1, S, 1, 16}), v = at::randn({1, S, 1, 16});
    q[0][S - 2][0][3] = std::numeric_limits<float>::quiet_NaN();
    const auto is_nan = causal_attention(q.to(dtype), k.to(dtype), v.to(dtype), {}).isnan().all(3).view({S});
    EXPECT_TRUE(is_nan[S - 2].item<bool>());
    EXPECT_EQ(is_nan.sum().item<int64_t>(), 1);
  }
}

TEST_P(AttentionOfDtype, CachedEqualsTheNaiveLoop) {
  const auto [isa, dtype, tolerance] = GetParam();
  const IsaScope scope(isa);
  for (const auto& [S, P] : {std::pair<int64_t, int64_t>{1, 1}, {1, 40}, {5, 29}, {16, 16}}) {
    const auto q = at::randn({2, S, 6, 16}).to(dtype);
    const auto k = at::randn({2, P, 2, 16}).to(dtype), v = at::randn({2, P, 2, 16}).to(dtype);
    const auto expected = naive_attention(q, k, v, {}, at::zeros_like(q));
    const auto sees_B1SP = at::ones({2, 1, S, P}, at::kBool).tril(P - S);
    EXPECT_TENSOR_NEAR(cached_attention(q, k, v, sees_B1SP), expected.out_BSHd, tolerance);
    // Keys that no query sees may follow.
    const auto longer = [&](const at::Tensor& x_BPGd) {
      return at::cat({x_BPGd, x_BPGd}, 1).narrow(1, 0, P + 1);
    };
    const auto sees_less_B1SP = at::constant_pad_nd(sees_B1SP, {0, 1}, false);
    EXPECT_TENSOR_NEAR(cached_attention(q, longer(k), longer(v), sees_less_B1SP), expected.out_BSHd,
                       tolerance);
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, AttentionOfDtype,
                         testing::ValuesIn(on_every_isa({{at::kFloat, 1e-5}, {at::kBFloat16, 2e-2}})));
INSTANTIATE_TEST_SUITE_P(LibTorch, AttentionOfDtype,
                         testing::Values(std::tuple{kernel_isa(), at::kDouble, 1e-12}));

TEST(Attention, ASegmentThatComesBackSeesItsEarlierTokens) {
  const auto segment_BS = at::tensor({0, 0, 1, 0}, at::kLong).view({1, 4});
  const auto q = at::randn({1, 4, 2, 16}), k = at::randn({1, 4, 2, 16}), v = at::randn({1, 4, 2, 16});
  EXPECT_TENSOR_NEAR(causal_attention(q, k, v, segment_BS),
                     naive_attention(q, k, v, segment_BS, at::zeros_like(q)).out_BSHd, 1e-5);
}

TEST(Attention, StaysFiniteAndExactForHugeScores) {
  const auto q = at::randn({1, 40, 1, 16}) * 100, k = at::randn({1, 40, 1, 16}) * 100;
  const auto v = at::randn({1, 40, 1, 16});
  EXPECT_TENSOR_NEAR(causal_attention(q, k, v, {}),
                     naive_attention(q / 10, k * 10, v, {}, at::zeros_like(v)).out_BSHd, 1e-3);
}

TEST(Attention, GradientsMatchDifferences) {
  const auto segment_BS = at::tensor({0, 0, 1, 1, -1}, at::kLong).view({1, 5});
  const auto function = [&](const std::vector<at::Tensor>& in) {
    return causal_attention(in[0], in[1], in[2], segment_BS);
  };
  const auto make = [](int64_t heads) { return at::randn({1, 5, heads, 4}, at::kDouble); };
  EXPECT_TRUE(gradients_match(function, {make(4), make(2), make(2)}));
}

TEST(Attention, PaddingMayLieBetweenSegments) {
  const auto segment_BS = at::tensor({0, 0, 0, -1, 1, 1, -1, -1, 2, -1}, at::kLong).view({1, 10});
  const auto valid = segment_BS.ge(0).squeeze(0);
  const auto q = at::randn({1, 10, 2, 16}), k = at::randn({1, 10, 2, 16}), v = at::randn({1, 10, 2, 16});
  const auto out = causal_attention(q, k, v, segment_BS);
  const auto expected = naive_attention(q, k, v, segment_BS, at::zeros_like(q)).out_BSHd;
  EXPECT_TENSOR_NEAR(out[0].index({valid}), expected[0].index({valid}), 1e-5);
  EXPECT_TRUE(out.isfinite().all().item<bool>());
}

TEST(Attention, PackedDocumentsGiveWhatTheyGiveAlone) {
  const auto make = [](int64_t heads) { return at::randn({1, 20, heads, 8}); };
  const auto q = make(4), k = make(2), v = make(2);
  auto segment_BS = at::zeros({1, 20}, at::kLong);
  segment_BS.narrow(1, 7, 13).fill_(1);
  const auto packed = causal_attention(q, k, v, segment_BS);
  const auto second = causal_attention(q.narrow(1, 7, 13), k.narrow(1, 7, 13), v.narrow(1, 7, 13), {});
  EXPECT_TENSOR_NEAR(packed.narrow(1, 7, 13), second, 1e-5);
}

}  // namespace
}  // namespace granule
