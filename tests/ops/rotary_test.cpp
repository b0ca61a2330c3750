#include "ops/rotary.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/ops/every_isa.h"
#include "tests/support/gradient_check.h"
#include "tests/support/naive_ops.h"
#include "tests/support/tensor_compare.h"

namespace granule {
namespace {

class RotaryOfDtype : public testing::TestWithParam<std::tuple<Isa, at::ScalarType, double>> {};

TEST_P(RotaryOfDtype, EqualsTheNaiveLoopAndTurnsGradientsBack) {
  const auto [isa, dtype, tolerance] = GetParam();
  const IsaScope scope(isa);
  for (const int64_t head_dim : {2, 12, 64}) {
    const auto table = make_rotary_table(50, head_dim, 10000.0);
    const auto x_BSHd = at::randn({2, 7, 3, head_dim}).to(dtype).set_requires_grad(true);
    const auto position_BS = at::randint(0, 50, {2, 7}, at::kLong);
    const auto y_BSHd = apply_rotary(x_BSHd, position_BS, table);
    EXPECT_TENSOR_NEAR(y_BSHd, naive_rotary(x_BSHd, position_BS, 10000.0), tolerance);

    // A rotation keeps inner products: the gradient of y along y is x.
    y_BSHd.backward(y_BSHd.detach());
    EXPECT_TENSOR_NEAR(x_BSHd.grad(), x_BSHd, 4 * tolerance);
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, RotaryOfDtype,
                         testing::ValuesIn(on_every_isa({{at::kFloat, 1e-6}, {at::kBFloat16, 5e-3}})));
INSTANTIATE_TEST_SUITE_P(Plain, RotaryOfDtype, testing::Values(std::tuple{kernel_isa(), at::kDouble, 1e-6}));

TEST(Rotary, GradientsMatchDifferences) {
  const auto table = make_rotary_table(9, 6, 100.0);
  const auto position_BS = at::randint(0, 9, {1, 4}, at::kLong);
  const auto function = [&](const std::vector<at::Tensor>& in) {
    return apply_rotary(in[0], position_BS, table);
  };
  EXPECT_TRUE(gradients_match(function, {at::randn({1, 4, 2, 6}, at::kDouble)}));
}

TEST(Rotary, ATableThatGrowsTokenByTokenIsSeldomMadeAnew) {
  GrowingRotaryTable growing(6, 100.0);
  const void* last = nullptr;
  int num_made = 0;
  for (int64_t end = 3; end <= 1000; ++end) {
    const auto& table = growing.up_to(end, at::kCPU);
    ASSERT_GE(table.cos_Pd.size(0), end);
    num_made += table.cos_Pd.const_data_ptr() != last;
    last = table.cos_Pd.const_data_ptr();
  }
  EXPECT_EQ(num_made, 10);  // 3, 6, 12 ... 1536
  const auto expected = make_rotary_table(1536, 6, 100.0);
  EXPECT_TRUE(growing.up_to(1, at::kCPU).cos_Pd.equal(expected.cos_Pd));
  EXPECT_TRUE(growing.up_to(1, at::kCPU).sin_Pd.equal(expected.sin_Pd));
}

TEST(Rotary, RefusesPositionsBeyondTheTable) {
  const auto table = make_rotary_table(4, 8, 10000.0);
  EXPECT_THROW(apply_rotary(at::randn({1, 1, 1, 8}), at::full({1, 1}, 4, at::kLong), table), std::exception);
}

}  // namespace
}  // namespace granule
