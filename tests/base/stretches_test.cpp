#include "base/stretches.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace granule {
namespace {

TEST(Stretches, CoverAllElementsOnceAndInOrder) {
  const int64_t count = (int64_t{5} << 19) + 3;
  int64_t next = 0, longest = 0;
  for_each_stretch(count, [&](int64_t begin, int64_t size) {
    EXPECT_EQ(begin, next);
    EXPECT_GT(size, 0);
    next += size;
    longest = std::max(longest, size);
  });
  EXPECT_EQ(next, count);
  EXPECT_LT(longest, count);
  for_each_stretch(0, [](int64_t, int64_t) { ADD_FAILURE() << "a stretch of nothing"; });
}

}  // namespace
}  // namespace granule
