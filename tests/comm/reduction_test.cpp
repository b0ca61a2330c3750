#include "comm/reduction.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace granule {
namespace {

// More than one tile and, with several threads, more than one thread's share.
constexpr int64_t kCount = (1 << 17) + 5;

std::vector<const std::byte*> parts_of(const std::vector<at::Tensor>& tensors) {
  std::vector<const std::byte*> parts;
  for (const auto& tensor : tensors) parts.push_back(static_cast<const std::byte*>(tensor.const_data_ptr()));
  return parts;
}

TEST(Reduction, AddsInOrderToTheBitAlsoIntoOneOfTheParts) {
  for (size_t target = 0; target < 3; ++target) {
    std::vector<at::Tensor> parts = {at::rand({kCount}) / 3, at::rand({kCount}) * 1e4,
                                     at::rand({kCount}) / 7};
    const auto expected = (parts[0] + parts[1]) + parts[2];
    ASSERT_FALSE(expected.equal(parts[0] + (parts[1] + parts[2]))) << "the order must matter for this test";
    reduce_in_order(Reduction::kSum, at::kFloat, parts_of(parts), kCount,
                    static_cast<std::byte*>(parts[target].mutable_data_ptr()));
    EXPECT_TRUE(parts[target].equal(expected)) << "into part " << target;
  }
}

TEST(Reduction, TakesTheLargestOfEachElement) {
  const std::vector<at::Tensor> parts = {at::tensor({1, -5, 7}, at::kLong),
                                         at::tensor({2, -9, 7}, at::kLong)};
  auto result = at::empty({3}, at::kLong);
  reduce_in_order(Reduction::kMax, at::kLong, parts_of(parts), 3,
                  static_cast<std::byte*>(result.mutable_data_ptr()));
  EXPECT_TRUE(result.equal(at::tensor({2, -5, 7}, at::kLong)));
}

TEST(Reduction, RefusesDtypesItCannotAddExactlyEnough) {
  EXPECT_FALSE(is_reducible(at::kBFloat16));
  EXPECT_THROW(reduce_in_order(Reduction::kSum, at::kBFloat16, {}, 0, nullptr), std::logic_error);
}

}  // namespace
}  // namespace granule
