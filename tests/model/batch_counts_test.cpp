#include "model/batch_counts.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/support/small_model.h"

namespace granule {
namespace {

at::Tensor count(int64_t a, int64_t b) {
  return at::tensor({a, b}, at::kLong).unsqueeze(0);
}

TEST(BatchCounts, AddUpOverMicroBatchesForEachLayerApart) {
  BatchCounts counts(alone());
  counts.begin_micro_batch();
  const auto first = counts.add(count(1, 2));
  EXPECT_TRUE(counts.add(count(10, 20)).equal(count(10, 20)));
  counts.begin_micro_batch();
  EXPECT_TRUE(counts.add(count(3, 3)).equal(count(4, 5)));
  EXPECT_TRUE(counts.add(count(1, 1)).equal(count(11, 21)));
  EXPECT_TRUE(first.equal(count(1, 2)));
}

}  // namespace
}  // namespace granule
