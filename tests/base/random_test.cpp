#include "base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <set>
#include <stdexcept>
#include <vector>

namespace granule {
namespace {

constexpr uint64_t kDraws = 200000;

// Initial values and the order of data rest on these; another value here is another model from the same seed.
TEST(Random, ValuesNeverChange) {
  const RandomStream stream(1234, "model.embed_tokens.weight");
  EXPECT_EQ(stream.bits(0), 7075088101733272384u);
  EXPECT_EQ(stream.bits(1), 13559379359660685300u);
  EXPECT_EQ(stream.bits(1000000007), 8900426378925441289u);
  EXPECT_EQ(RandomStream(0, "").bits(0), 4295609322031115183u);
  EXPECT_EQ(RandomStream(1234, "epoch/3/documents").below(1000, 5), 726u);
  EXPECT_DOUBLE_EQ(stream.uniform(7), 0.57266603943166117);
  EXPECT_DOUBLE_EQ(stream.normal(7), -0.080431682681278802);
}

TEST(Random, ValueDependsOnSeedNameAndIndexAlone) {
  const RandomStream first(5, "a"), second(5, "a");
  EXPECT_EQ(first.bits(9), second.bits(9));
  second.bits(0);
  EXPECT_EQ(first.bits(9), second.bits(9));
  EXPECT_NE(first.bits(9), RandomStream(6, "a").bits(9));
  EXPECT_NE(first.bits(9), RandomStream(5, "b").bits(9));
  EXPECT_NE(first.bits(9), first.bits(10));
}

TEST(Random, UniformIsInTheUnitIntervalAndEven) {
  constexpr int kCells = 64;
  const RandomStream stream(1, "uniform");
  std::vector<double> count(kCells, 0);
  double sum = 0;
  for (uint64_t i = 0; i < kDraws; ++i) {
    const double x = stream.uniform(i);
    ASSERT_GE(x, 0);
    ASSERT_LT(x, 1);
    sum += x;
    ++count[static_cast<size_t>(x * kCells)];
  }
  EXPECT_NEAR(sum / kDraws, 0.5, 5 / std::sqrt(12.0 * kDraws));
  double chi_squared = 0;
  const double expected = static_cast<double>(kDraws) / kCells;
  for (const double seen : count) chi_squared += (seen - expected) * (seen - expected) / expected;
  // 63 degrees of freedom: mean 63, deviation 11.
  EXPECT_LT(chi_squared, 63 + 5 * 11.3);
  EXPECT_GT(chi_squared, 63 - 4 * 11.3);
}

TEST(Random, EveryBitIsAFairCoin) {
  const RandomStream stream(2, "bits");
  std::vector<int64_t> ones(64, 0);
  for (uint64_t i = 0; i < kDraws; ++i) {
    const uint64_t bits = stream.bits(i);
    for (int bit = 0; bit < 64; ++bit)
      ones[static_cast<size_t>(bit)] += static_cast<int64_t>(bits >> bit & 1);
  }
  const double deviation = std::sqrt(kDraws / 4.0);
  for (const int64_t count : ones) EXPECT_NEAR(static_cast<double>(count), kDraws / 2.0, 5 * deviation);
}

TEST(Random, NormalHasTheMomentsAndTails) {
  const RandomStream stream(3, "normal");
  double sum = 0, squares = 0, cubes = 0, fourths = 0, largest = 0;
  int64_t within_one = 0;
  for (uint64_t i = 0; i < kDraws; ++i) {
    const double x = stream.normal(i);
    ASSERT_TRUE(std::isfinite(x));
    sum += x;
    squares += x * x;
    cubes += x * x * x;
    fourths += x * x * x * x;
    largest = std::max(largest, std::abs(x));
    within_one += std::abs(x) < 1 ? 1 : 0;
  }
  const double root = std::sqrt(static_cast<double>(kDraws));
  EXPECT_NEAR(sum / kDraws, 0, 5 / root);
  EXPECT_NEAR(squares / kDraws, 1, 5 * std::sqrt(2.0) / root);
  EXPECT_NEAR(cubes / kDraws, 0, 5 * std::sqrt(15.0) / root);
  EXPECT_NEAR(fourths / kDraws, 3, 5 * std::sqrt(96.0) / root);
  EXPECT_NEAR(static_cast<double>(within_one) / kDraws, 0.682689, 5 * std::sqrt(0.2166) / root);
  EXPECT_GT(largest, 3.5);
  EXPECT_LT(largest, 7);
}

double correlation(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum / static_cast<double>(a.size());
}

std::vector<double> normals(uint64_t seed, std::string_view name, uint64_t first, uint64_t stride) {
  const RandomStream stream(seed, name);
  std::vector<double> values;
  for (uint64_t i = 0; i < kDraws; ++i) values.push_back(stream.normal(first + i * stride));
  return values;
}

TEST(Random, NeighboursOfEveryKindAreIndependent) {
  const auto base = normals(7, "model.layers.1.mlp.experts.0.up_proj.weight", 0, 1);
  const double limit = 5 / std::sqrt(static_cast<double>(kDraws));
  for (const uint64_t lag : {1, 2, 3, 64, 256, 1024}) {
    EXPECT_NEAR(correlation(base, normals(7, "model.layers.1.mlp.experts.0.up_proj.weight", lag, 1)), 0,
                limit)
        << "lag " << lag;
  }
  EXPECT_NEAR(correlation(base, normals(8, "model.layers.1.mlp.experts.0.up_proj.weight", 0, 1)), 0, limit);
  EXPECT_NEAR(correlation(base, normals(7, "model.layers.1.mlp.experts.1.up_proj.weight", 0, 1)), 0, limit);
  EXPECT_NEAR(correlation(base, normals(7, "model.layers.0.mlp.experts.1.up_proj.weight", 0, 1)), 0, limit);
  EXPECT_NEAR(correlation(base, normals(7, "model.layers.1.mlp.experts.0.up_proj.weight", 0, 2)), 0,
              2 * limit);
}

TEST(Random, StreamsOfSimilarNamesAndSeedsDoNotMeet) {
  std::set<uint64_t> seen;
  uint64_t expected = 0;
  for (uint64_t seed = 0; seed < 32; ++seed) {
    for (const char* name : {"", "a", "b", "aa", "ab", "ba", "a/1", "a/11", "1/a"}) {
      for (uint64_t index = 0; index < 64; ++index) {
        seen.insert(RandomStream(seed, name).bits(index));
        ++expected;
      }
    }
  }
  EXPECT_EQ(seen.size(), expected);
}

TEST(Random, SeedIsNotJustAShiftOfTheIndex) {
  // Streams whose keys differ by a multiple of the step would repeat one another.
  const RandomStream first(0, ""), second(1, "");
  std::set<uint64_t> seen;
  for (uint64_t index = 0; index < 10000; ++index) seen.insert(first.bits(index));
  for (uint64_t index = 0; index < 10000; ++index) EXPECT_EQ(seen.count(second.bits(index)), 0u);
}

TEST(Random, BelowIsInRangeAndEven) {
  const RandomStream stream(4, "below");
  for (const uint64_t bound : {uint64_t{1}, uint64_t{2}, uint64_t{10}, uint64_t{97}}) {
    std::vector<double> count(bound, 0);
    for (uint64_t i = 0; i < kDraws; ++i) {
      const auto value = stream.below(bound, i);
      ASSERT_LT(value, bound);
      ++count[value];
    }
    const double expected = static_cast<double>(kDraws) / static_cast<double>(bound);
    for (const double seen : count) EXPECT_NEAR(seen, expected, 5 * std::sqrt(expected)) << bound;
  }
  EXPECT_LT(stream.below(UINT64_MAX, 3), UINT64_MAX);
  EXPECT_THROW(stream.below(0, 3), std::logic_error);
}

}  // namespace
}  // namespace granule
