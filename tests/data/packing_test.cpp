#include "data/packing.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"

namespace granule {
namespace {

using Rows = std::vector<std::vector<int64_t>>;

std::vector<int64_t> random_lengths(int64_t count, int64_t longest, uint64_t seed) {
  const RandomStream stream(seed, "lengths");
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < count; ++i) {
    lengths.push_back(
        1 + static_cast<int64_t>(stream.below(static_cast<uint64_t>(longest), static_cast<uint64_t>(i))));
  }
  return lengths;
}

// Looks through all rows for the tightest one.
Rows naive_best_fit(const std::vector<int64_t>& lengths, int64_t capacity) {
  std::vector<std::pair<int64_t, int64_t>> order;  // longest first, then by number
  for (size_t i = 0; i < lengths.size(); ++i) order.emplace_back(-lengths[i], i);
  std::sort(order.begin(), order.end());
  Rows rows;
  std::vector<int64_t> room;
  for (const auto& [negative, example] : order) {
    size_t best = rows.size();
    for (size_t row = 0; row < rows.size(); ++row) {
      if (room[row] + negative >= 0 && (best == rows.size() || room[row] < room[best])) best = row;
    }
    if (best == rows.size()) {
      rows.emplace_back();
      room.push_back(capacity);
    }
    rows[best].push_back(example);
    room[best] += negative;
  }
  return rows;
}

TEST(Packing, PacksLikeTheNaiveSearch) {
  for (const uint64_t seed : {1, 2, 3}) {
    for (const int64_t longest : {5, 40, 64}) {
      const auto lengths = random_lengths(200, longest, seed);
      EXPECT_EQ(pack_best_fit(lengths, 64), naive_best_fit(lengths, 64));
    }
  }
}

TEST(Packing, PutsEveryExampleIntoOneRowThatHoldsIt) {
  const auto lengths = random_lengths(1000, 64, 4);
  std::vector<int> seen(lengths.size());
  for (const auto& row : pack_best_fit(lengths, 64)) {
    int64_t sum = 0;
    for (const auto example : row) {
      sum += lengths[static_cast<size_t>(example)];
      ++seen[static_cast<size_t>(example)];
    }
    EXPECT_LE(sum, 64);
    EXPECT_GT(sum, 0);
  }
  EXPECT_TRUE(std::all_of(seen.begin(), seen.end(), [](int count) { return count == 1; }));
}

TEST(Packing, FillsExactlyWhereLengthsAllowIt) {
  EXPECT_EQ(pack_best_fit({3, 7, 5, 5}, 10), (Rows{{1, 0}, {2, 3}}));
  EXPECT_EQ(pack_best_fit({10, 10}, 10), (Rows{{0}, {1}}));
  EXPECT_EQ(pack_best_fit({}, 10), Rows{});
}

TEST(Packing, GivesEachExampleARowOfItsOwnIfNotAsked) {
  EXPECT_EQ(pack_none(3), (Rows{{0}, {1}, {2}}));
}

}  // namespace
}  // namespace granule
