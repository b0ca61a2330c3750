#include "model/generation_cache.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/support/small_model.h"
#include "tests/support/tensor_compare.h"

namespace granule {
namespace {

// A value for each row, position and layer.
at::Tensor marked(const std::vector<std::vector<double>>& value_BS) {
  const auto B = static_cast<int64_t>(value_BS.size());
  const auto S = static_cast<int64_t>(value_BS[0].size());
  auto x_BSGd = at::zeros({B, S, 2, 4});
  for (int64_t b = 0; b < B; ++b) {
    for (int64_t s = 0; s < S; ++s)
      x_BSGd[b][s].fill_(value_BS[static_cast<size_t>(b)][static_cast<size_t>(s)]);
  }
  return x_BSGd;
}

// The first element of each place.
std::vector<std::vector<double>> marks(const at::Tensor& x_BPGd) {
  std::vector<std::vector<double>> value_BP;
  for (int64_t b = 0; b < x_BPGd.size(0); ++b) {
    value_BP.emplace_back();
    for (int64_t p = 0; p < x_BPGd.size(1); ++p) value_BP.back().push_back(x_BPGd[b][p][0][0].item<double>());
  }
  return value_BP;
}

class GenerationCacheTest : public testing::Test {
 protected:
  KeyValueCache append(const std::vector<int64_t>& count_B,
                       const std::vector<std::vector<double>>& value_BS) {
    const auto step = cache_.extend(count_B, static_cast<int64_t>(value_BS[0].size()));
    const auto x_BSGd = marked(value_BS);
    cache_.append(0, step, -x_BSGd, x_BSGd);
    return cache_.append(1, step, x_BSGd, 2 * x_BSGd);
  }

  GenerationCache cache_{small_config(), 3, 6, at::kFloat};
};

TEST_F(GenerationCacheTest, RowsGrowEachByTheirOwn) {
  append({2, 1, 3}, {{1, 2, 99}, {3, 99, 99}, {4, 5, 6}});
  const auto all = append({1, 1, 1}, {{7}, {8}, {9}});
  EXPECT_EQ(marks(all.key_RPGd),
            (std::vector<std::vector<double>>{{1, 2, 7, 0}, {3, 8, 0, 0}, {4, 5, 6, 9}}));
  EXPECT_EQ(marks(all.value_RPGd)[1], (std::vector<double>{6, 16, 0, 0}));
  EXPECT_EQ(cache_.length(1), 2);
}

TEST_F(GenerationCacheTest, KnowsPlacesPaddingAndWhatEachTokenSees) {
  append({2, 1, 3}, {{1, 2, 99}, {3, 99, 99}, {4, 5, 6}});
  const std::vector<int64_t> count_B{1, 2, 1};
  const auto step = cache_.extend(count_B, 2);
  EXPECT_TRUE(step.layout.position_BS.equal(at::tensor({2, 3, 1, 2, 3, 4}, at::kLong).view({3, 2})));
  EXPECT_TRUE(step.layout.valid_T.equal(at::tensor({1, 0, 1, 1, 1, 0}, at::kLong).to(at::kBool)));
  EXPECT_TRUE(step.layout.sequence_T.equal(at::tensor({0, -1, 1, 1, 2, -1}, at::kLong)));
  EXPECT_TRUE(step.last_B.equal(at::tensor({0, 3, 4}, at::kLong)));
  ASSERT_EQ(step.sees_B1SP.sizes(), (at::IntArrayRef{3, 1, 2, 4}));
  EXPECT_TRUE(
      step.sees_B1SP[1][0].equal(at::tensor({1, 1, 0, 0, 1, 1, 1, 0}, at::kLong).view({2, 4}).to(at::kBool)));
}

TEST_F(GenerationCacheTest, TheLastRowTakesThePlaceOfARemovedOne) {
  append({2, 1, 3}, {{1, 2, 99}, {3, 99, 99}, {4, 5, 6}});
  cache_.remove(0);
  EXPECT_EQ(cache_.num_rows(), 2);
  EXPECT_EQ(cache_.length(0), 3);
  const auto all = append({1, 1}, {{7}, {8}});
  EXPECT_EQ(marks(all.key_RPGd), (std::vector<std::vector<double>>{{4, 5, 6, 7}, {3, 8, 0, 0}}));
  cache_.remove(1);
  EXPECT_EQ(marks(append({1}, {{9}}).key_RPGd), (std::vector<std::vector<double>>{{4, 5, 6, 7, 9}}));
}

TEST_F(GenerationCacheTest, AShortenedRowForgets) {
  append({3, 3, 3}, {{1, 2, 3}, {4, 5, 6}, {7, 8, 9}});
  cache_.shorten(1, 1);
  EXPECT_EQ(marks(append({1, 1, 1}, {{10}, {11}, {12}}).key_RPGd)[1][1], 11);
  EXPECT_EQ(cache_.length(1), 2);
}

TEST_F(GenerationCacheTest, IsNeverOverfilled) {
  const std::vector<int64_t> too_many{1, 7, 1}, none{1, 0, 1};
  EXPECT_THROW(cache_.extend(too_many, 7), std::logic_error);
  EXPECT_THROW(cache_.extend(none, 1), std::logic_error);
}

}  // namespace
}  // namespace granule
