#include "data/epoch_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "tests/support/token_files.h"

namespace granule {
namespace {

// Positions in the file of all tokens of a sample.
std::vector<int64_t> positions_of(const EpochOrder& order, int64_t index) {
  std::vector<int64_t> positions;
  for (const auto& range : order.sample(index)) {
    for (int64_t i = 0; i < range.count; ++i) positions.push_back(range.begin + i);
  }
  return positions;
}

TEST(ShuffledOrder, IsAPermutationThatDependsOnSeedAndName) {
  const auto order = shuffled_order(7, "a", 1000);
  auto sorted = order;
  std::sort(sorted.begin(), sorted.end());
  for (int64_t i = 0; i < 1000; ++i) ASSERT_EQ(sorted[static_cast<size_t>(i)], i);
  EXPECT_EQ(order, shuffled_order(7, "a", 1000));
  EXPECT_NE(order, shuffled_order(8, "a", 1000));
  EXPECT_NE(order, shuffled_order(7, "b", 1000));
  EXPECT_TRUE(shuffled_order(7, "a", 0).empty());
}

TEST(ShuffledOrder, PutsEveryElementEverywhereEquallyOften) {
  std::map<std::vector<int64_t>, int> count;
  for (uint64_t seed = 0; seed < 6000; ++seed) ++count[shuffled_order(seed, "fair", 3)];
  ASSERT_EQ(count.size(), 6u);
  for (const auto& [order, times] : count) EXPECT_NEAR(times, 1000, 150);
}

// An epoch's samples overlap in one token each; put in order they are a shuffle of whole documents.
TEST(EpochOrder, CoversTheDocumentsJoinedInTheirShuffledOrder) {
  const DataDirectory directory;
  auto documents = random_documents(40, 50, 500);
  documents.insert(documents.begin() + 5, std::vector<int64_t>{});
  const TokenFile file(directory.write_tokens("x", documents));
  const int64_t S = 16;
  const EpochOrder order(file, S, 3, "x", 0);

  std::vector<int64_t> expected;
  for (const auto d : shuffled_order(3, "x/epoch/0/documents", file.num_documents())) {
    for (int64_t p = file.document_begin(d); p < file.document_begin(d + 1); ++p) expected.push_back(p);
  }
  const int64_t count = EpochOrder::num_samples(file, S);
  EXPECT_EQ(count, (file.num_tokens() - 1) / S);
  const auto places = shuffled_order(3, "x/epoch/0/samples", count);
  for (int64_t i = 0; i < count; ++i) {
    const auto begin = expected.begin() + places[static_cast<size_t>(i)] * S;
    EXPECT_EQ(positions_of(order, i), std::vector<int64_t>(begin, begin + S + 1)) << i;
  }
}

TEST(EpochOrder, NamesTheDocumentOfEachPieceAndLeavesOutEmptyPieces) {
  const DataDirectory directory;
  const TokenFile file(directory.write_tokens("x", random_documents(30, 5, 50)));
  const EpochOrder order(file, 8, 1, "x", 2);
  for (int64_t i = 0; i < EpochOrder::num_samples(file, 8); ++i) {
    int64_t sum = 0;
    for (const auto& [begin, count, document] : order.sample(i)) {
      EXPECT_GT(count, 0);
      EXPECT_GE(begin, file.document_begin(document));
      EXPECT_LE(begin + count, file.document_begin(document + 1));
      sum += count;
    }
    EXPECT_EQ(sum, 9);
  }
}

TEST(EpochOrder, DiffersFromEpochToEpoch) {
  const DataDirectory directory;
  const TokenFile file(directory.write_tokens("x", random_documents(30, 20, 50)));
  const EpochOrder first(file, 8, 1, "x", 0);
  const EpochOrder second(file, 8, 1, "x", 1);
  int64_t equal = 0;
  const int64_t count = EpochOrder::num_samples(file, 8);
  for (int64_t i = 0; i < count; ++i) equal += positions_of(first, i) == positions_of(second, i);
  EXPECT_LT(equal, count / 4);
}

TEST(EpochOrder, HasNoSampleInAFileThatIsTooShort) {
  const DataDirectory directory;
  EXPECT_EQ(EpochOrder::num_samples(TokenFile(directory.write_tokens("none", {})), 4), 0);
  EXPECT_EQ(EpochOrder::num_samples(TokenFile(directory.write_tokens("four", {{1, 2, 3, 4}})), 4), 0);
  EXPECT_EQ(EpochOrder::num_samples(TokenFile(directory.write_tokens("five", {{1, 2, 3, 4, 5}})), 4), 1);
}

}  // namespace
}  // namespace granule
