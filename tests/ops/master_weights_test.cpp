#include "ops/master_weights.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

namespace granule {
namespace {

at::Tensor float_of_bits(std::vector<int64_t> bits) {
  return at::tensor(bits, at::kLong).to(at::kInt).view(at::kFloat);
}

// Bits, because -0 equals 0.
void expect_nothing_lost(const at::Tensor& master) {
  const auto parameter = at::full(master.sizes(), 7, at::kBFloat16),
             remainder = at::full(master.sizes(), 7, at::kShort);
  split_master(master, parameter, remainder);
  EXPECT_TRUE(join_master(parameter, remainder).view(at::kInt).equal(master.view(at::kInt)));
  EXPECT_TRUE(round_master(master).view(at::kShort).equal(parameter.view(at::kShort)));
}

TEST(MasterWeights, EveryRemainderComesBack) {
  // All low halves behind even, odd, small, large and negative high ones, and the largest of all.
  const auto low = at::arange(int64_t{1} << 16);
  for (const int64_t high :
       {0x0000, 0x0001, 0x3f80, 0x3f81, 0x7f7e, 0x7f7f, 0x8000, 0xbf80, 0xbf81, 0xff7f}) {
    expect_nothing_lost(((high << 16) + low).to(at::kInt).view(at::kFloat));
  }
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  expect_nothing_lost(
      at::tensor({kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN(), 0.0f, -0.0f}));
  expect_nothing_lost(at::randn({3, 1001}).narrow(1, 1, 1000));
}

TEST(MasterWeights, ParametersAreTheNearest) {
  const auto master = at::randn({100000}).view(at::kInt).bitwise_or(1).view(at::kFloat);  // no ties
  EXPECT_TRUE(round_master(master).equal(master.to(at::kBFloat16)));
  // A tie goes away from zero, also where the nearest even is the other.
  EXPECT_TRUE(round_master(float_of_bits({0x3f808000, 0x3f818000, 0xbf808000, 0x3f807fff}))
                  .to(at::kFloat)
                  .equal(float_of_bits({0x3f810000, 0x3f820000, 0xbf810000, 0x3f800000})));
  EXPECT_TRUE(round_master(at::tensor({std::numeric_limits<float>::quiet_NaN()})).isnan().item<bool>());
}

TEST(MasterWeights, SlicesOfLargerTensorsAreWritten) {
  const auto parameter = at::zeros({10}, at::kBFloat16), remainder = at::zeros({10}, at::kShort);
  const auto master = at::tensor({1.0001f, -3.14159f, 1e-20f});
  split_master(master, parameter.narrow(0, 3, 3), remainder.narrow(0, 3, 3));
  EXPECT_TRUE(join_master(parameter, remainder).narrow(0, 3, 3).equal(master));
  EXPECT_EQ(join_master(parameter, remainder).count_nonzero().item<int64_t>(), 3);
}

}  // namespace
}  // namespace granule
