#include "model/capacity.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <vector>

namespace granule {
namespace {

at::Tensor choices(at::ArrayRef<int64_t> ids, int64_t k) {
  return at::tensor(ids, at::kLong).view({-1, k});
}

TEST(Capacity, TakesAllFirstChoicesBeforeAnySecondAndCountsPerSequence) {
  // 2 tokens a sequence: ceil(0.5 * 2 * 2 / 2) = 1 place an expert.
  const auto chosen_TK = choices({0, 1, 1, 0, /**/ 0, 1, 0, 1}, 2);
  const auto kept_TK = drop_over_capacity(chosen_TK, SequenceLayout::rows(2, 2), 2, 0.5);
  // First sequence: both first choices fill both experts. Second: token 0 takes expert 0, its second choice
  // expert 1.
  EXPECT_TRUE(kept_TK.equal(choices({0, -1, 1, -1, /**/ 0, 1, -1, -1}, 2)));
}

TEST(Capacity, RoundsUpAndFactorZeroMeansNoLimit) {
  const auto chosen_TK = choices({0, 0, 0, 0, 0}, 1);
  const auto layout = SequenceLayout::rows(1, 5);
  EXPECT_TRUE(
      drop_over_capacity(chosen_TK, layout, 4, 1.0).equal(choices({0, 0, -1, -1, -1}, 1)));  // ceil(5 / 4)
  EXPECT_TRUE(drop_over_capacity(chosen_TK, layout, 4, 0.0).equal(chosen_TK));
  EXPECT_TRUE(drop_over_capacity(chosen_TK, layout, 4, 4.0).equal(chosen_TK));
}

TEST(Capacity, DecimalFactorsAreMeantExactly) {
  // 1.1 * 400 / 8 = 55, though 1.1 * 400 is 440.00000000000006 in fp64.
  const auto kept_TK =
      drop_over_capacity(choices(std::vector<int64_t>(400, 0), 1), SequenceLayout::rows(1, 400), 8, 1.1);
  EXPECT_EQ(kept_TK.ge(0).sum().item<int64_t>(), 55);
}

TEST(Capacity, PaddingTakesNoPlaceAndAddsNoRoom) {
  const auto layout = SequenceLayout::from_segments(at::tensor({0, 0, -1, -1}, at::kLong).view({1, 4}));
  // Two tokens: ceil(1.0 * 2 / 2) = 1 place.
  EXPECT_TRUE(
      drop_over_capacity(choices({1, 1, -1, -1}, 1), layout, 2, 1.0).equal(choices({1, -1, -1, -1}, 1)));
}

}  // namespace
}  // namespace granule
