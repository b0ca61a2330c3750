#include "ops/embedding.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/support/gradient_check.h"
#include "tests/support/tensor_compare.h"

namespace granule {
namespace {

at::Tensor naive_gradient(int64_t V, const at::Tensor& token_T, const at::Tensor& grad_TD) {
  auto sum_VD = at::zeros({V, grad_TD.size(1)}, at::kDouble);
  for (int64_t t = 0; t < token_T.numel(); ++t) {
    sum_VD[token_T[t].item<int64_t>()] += grad_TD[t].to(at::kDouble);
  }
  return sum_VD;
}

TEST(Embedding, ValueAndGradientEqualTheNaiveLoop) {
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kDouble}) {
    for (const auto& [T, D] : {std::pair<int64_t, int64_t>{1, 1}, {300, 200}, {0, 8}}) {
      const auto weight_VD = at::randn({7, D}).to(dtype).set_requires_grad(true);
      const auto token_T = at::randint(7, {T}, at::kLong);
      const auto grad_TD = at::randn({T, D}).to(dtype);
      const auto x_TD = embed(weight_VD, token_T);
      EXPECT_TRUE(x_TD.equal(weight_VD.detach().index_select(0, token_T)));
      x_TD.backward(grad_TD);
      EXPECT_TENSOR_NEAR(weight_VD.grad(), naive_gradient(7, token_T, grad_TD),
                         dtype == at::kBFloat16 ? 1e-2 : 1e-5);
    }
  }
}

// A sum in bf16 would stop growing at 256 = 2^8.
TEST(Embedding, AFrequentTokensGradientIsSummedInFp32AndAddedToAPresetOne) {
  const auto weight_VD = at::randn({3, 16}).to(at::kBFloat16).set_requires_grad(true);
  weight_VD.mutable_grad() = at::ones({3, 16});
  const auto token_T = at::full({1000}, 2, at::kLong);
  embed(weight_VD, token_T).backward(at::ones({1000, 16}, at::kBFloat16));
  EXPECT_EQ(weight_VD.grad().scalar_type(), at::kFloat);
  EXPECT_TRUE(weight_VD.grad()[2].equal(at::full({16}, 1001.0f)));
  EXPECT_TRUE(weight_VD.grad()[0].equal(at::ones({16})));
}

TEST(Embedding, WithoutGradientNothingIsKept) {
  const auto weight_VD = at::randn({3, 4});
  EXPECT_FALSE(embed(weight_VD, at::tensor({0L, 2L})).requires_grad());
}

}  // namespace
}  // namespace granule
