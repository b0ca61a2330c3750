#include "ops/rms_norm.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/ops/every_isa.h"
#include "tests/support/gradient_check.h"
#include "tests/support/naive_ops.h"
#include "tests/support/tensor_compare.h"

namespace granule {
namespace {

constexpr double kEps = 1e-6;

class RmsNormOfDtype : public testing::TestWithParam<std::tuple<Isa, at::ScalarType, double>> {};

TEST_P(RmsNormOfDtype, ValueAndGradientsEqualTheNaiveLoop) {
  const auto [isa, dtype, tolerance] = GetParam();
  const IsaScope scope(isa);
  for (const auto& [T, D] : {std::pair<int64_t, int64_t>{1, 1}, {5, 19}, {130, 64}, {3, 100}, {0, 8}}) {
    const auto x_TD = (at::randn({T, D}) * 3).to(dtype).set_requires_grad(true);
    const auto weight_D = (at::rand({D}) + 0.5).to(dtype).set_requires_grad(true);
    const auto grad_TD = at::randn({T, D}).to(dtype);
    const auto y_TD = rms_norm(x_TD, weight_D, kEps);
    y_TD.backward(grad_TD);
    const auto expected = naive_rms_norm(x_TD, weight_D, kEps, grad_TD);
    EXPECT_EQ(y_TD.scalar_type(), dtype);
    EXPECT_TENSOR_NEAR(y_TD, expected.y_TD, tolerance);
    EXPECT_TENSOR_NEAR(x_TD.grad(), expected.grad_x_TD, tolerance);
    EXPECT_TENSOR_NEAR(weight_D.grad(), expected.grad_weight_D, tolerance);
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, RmsNormOfDtype,
                         testing::ValuesIn(on_every_isa({{at::kFloat, 1e-5}, {at::kBFloat16, 2e-2}})));
INSTANTIATE_TEST_SUITE_P(Plain, RmsNormOfDtype,
                         testing::Values(std::tuple{kernel_isa(), at::kDouble, 1e-13}));

TEST(RmsNorm, GradientsMatchDifferences) {
  const auto function = [&](const std::vector<at::Tensor>& in) { return rms_norm(in[0], in[1], 1e-3); };
  EXPECT_TRUE(gradients_match(function, {at::randn({2, 3, 5}, at::kDouble), at::randn({5}, at::kDouble)}));
}

TEST(RmsNorm, RoundsTheUnitRowBeforeTheWeightAsHuggingFaceDoes) {
  const auto x_TD = at::randn({4, 32}).to(at::kBFloat16);
  const auto weight_D = at::rand({32}).to(at::kBFloat16);
  const auto wide_TD = x_TD.to(at::kFloat);
  const auto unit_TD = (wide_TD * at::rsqrt(wide_TD.pow(2).mean(1, true) + kEps)).to(at::kBFloat16);
  EXPECT_TENSOR_NEAR(rms_norm(x_TD, weight_D, kEps), weight_D * unit_TD, 1e-7);
}

TEST(RmsNorm, AddsTheWeightsGradientToAPresetOne) {
  const auto x_TD = at::randn({9, 16}).to(at::kBFloat16);
  const auto weight_D = at::rand({16}).to(at::kBFloat16).set_requires_grad(true);
  const auto grad_TD = at::randn({9, 16}).to(at::kBFloat16);
  weight_D.mutable_grad() = at::ones({16});
  rms_norm(x_TD, weight_D, kEps).backward(grad_TD);
  EXPECT_EQ(weight_D.grad().scalar_type(), at::kFloat);
  EXPECT_TENSOR_NEAR(weight_D.grad(), naive_rms_norm(x_TD, weight_D, kEps, grad_TD).grad_weight_D + 1, 1e-5);
}

TEST(RmsNorm, TakesAnFp32WeightForBf16Rows) {
  const auto x_TD = at::randn({3, 8}).to(at::kBFloat16);
  const auto weight_D = at::rand({8});
  const auto y_TD = rms_norm(x_TD, weight_D, kEps);
  EXPECT_EQ(y_TD.scalar_type(), at::kBFloat16);
  EXPECT_TENSOR_NEAR(y_TD, naive_rms_norm(x_TD, weight_D, kEps, x_TD).y_TD, 1e-2);
}

}  // namespace
}  // namespace granule
