#include "ops/grouped_linear.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/support/gradient_check.h"
#include "tests/support/tensor_compare.h"

namespace granule {
namespace {

// The second group has no rows.
const std::vector<int64_t> kEnds = {2, 2, 7};

at::Tensor naive(const at::Tensor& x_NI, const at::Tensor& weight_gOI) {
  return at::cat({at::matmul(x_NI.narrow(0, 0, 2), weight_gOI[0].t()),
                  at::matmul(x_NI.narrow(0, 2, 5), weight_gOI[2].t())});
}

TEST(GroupedLinear, EachGroupHasItsMatrix) {
  for (const auto dtype : {at::kDouble, at::kFloat, at::kBFloat16}) {
    const auto x_NI = at::randn({7, 4}, at::TensorOptions(dtype));
    const auto weight_gOI = at::randn({3, 5, 4}, at::TensorOptions(dtype));
    EXPECT_TENSOR_NEAR(grouped_linear(x_NI, weight_gOI, kEnds).to(at::kDouble),
                       naive(x_NI.to(at::kDouble), weight_gOI.to(at::kDouble)),
                       dtype == at::kBFloat16 ? 5e-2 : 1e-5);
  }
}

TEST(GroupedLinear, GradientsOfRowsAndMatricesAreThoseOfDifferences) {
  const auto options = at::TensorOptions(at::kDouble);
  EXPECT_TRUE(gradients_match([](const auto& in) { return grouped_linear(in[0], in[1], kEnds); },
                              {at::randn({7, 4}, options), at::randn({3, 5, 4}, options)}));
  EXPECT_TRUE(gradients_match([](const auto& in) { return grouped_linear(in[0], in[1], {7}); },
                              {at::randn({7, 4}, options), at::randn({5, 4}, options)}));
}

TEST(GroupedLinear, AddsToAPresetGradientOfAnyDtype) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto x_NI = at::randn({7, 4}, at::TensorOptions(dtype));
    auto weight_gOI = at::randn({3, 5, 4}, at::TensorOptions(dtype)).requires_grad_();
    weight_gOI.mutable_grad() = at::ones({3, 5, 4});
    grouped_linear(x_NI, weight_gOI, kEnds).sum().backward();
    const auto expected_OI = x_NI.narrow(0, 0, 2).to(at::kFloat).sum(0).expand({5, 4}) + 1;
    EXPECT_TENSOR_NEAR(weight_gOI.grad()[0], expected_OI, 1e-5);
    EXPECT_TRUE(weight_gOI.grad()[1].equal(at::ones({5, 4})));
  }
}

TEST(GroupedLinear, AFrozenMatrixHasNoGradientAndRowsHaveTheirs) {
  const auto x_NI = at::randn({7, 4}).requires_grad_();
  const auto weight_gOI = at::randn({3, 5, 4});
  grouped_linear(x_NI, weight_gOI, kEnds).sum().backward();
  EXPECT_FALSE(weight_gOI.grad().defined());
  EXPECT_TENSOR_NEAR(x_NI.grad()[6], weight_gOI[2].sum(0), 1e-5);
}

TEST(GroupedLinear, NoRowsAtAllAreFine) {
  auto weight_gOI = at::randn({2, 5, 4}).requires_grad_();
  const auto y_NO = grouped_linear(at::empty({0, 4}), weight_gOI, {0, 0});
  EXPECT_EQ(y_NO.sizes(), (at::IntArrayRef{0, 5}));
  y_NO.sum().backward();
  EXPECT_TRUE(weight_gOI.grad().equal(at::zeros({2, 5, 4})));
}

}  // namespace
}  // namespace granule
