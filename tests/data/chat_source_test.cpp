#include "data/chat_source.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/support/token_files.h"

namespace granule {
namespace {

// Ids 100 x (example + 1), + 1 ...; the last `num_learned` of `length` are learned.
TemplatedChat numbered_chat(int64_t example, int64_t length, int64_t num_learned) {
  TemplatedChat chat;
  for (int64_t i = 0; i < length; ++i) {
    chat.ids.push_back(100 * (example + 1) + i);
    chat.learned.push_back(i >= length - num_learned);
  }
  return chat;
}

ChatExamples numbered_examples(const std::vector<int64_t>& lengths) {
  ChatExamples examples;
  for (size_t i = 0; i < lengths.size(); ++i)
    examples.add(numbered_chat(static_cast<int64_t>(i), lengths[i], 2));
  return examples;
}

PackedChats packed(const std::vector<int64_t>& lengths, bool packing = true) {
  return PackedChats(numbered_examples(lengths), 8, packing);
}

Sample row_of(const PackedChats& chats, int64_t index) {
  Sample sample{std::vector<int64_t>(9, -7), std::vector<int>(8, -7), std::vector<int64_t>(8, -7)};
  bool mask[8];
  chats.read(index, {sample.token.data(), mask, sample.segment.data()});
  std::copy_n(mask, 8, sample.loss_mask.begin());
  return sample;
}

TEST(PackedChats, PutsExamplesBehindOneAnotherWithTheirLastTokensAsLabelsOnly) {
  const auto chats = packed({3, 4, 9});
  ASSERT_EQ(chats.num_rows(), 2);
  EXPECT_DOUBLE_EQ(chats.fullness(), 16.0 / 18);
  const auto full = row_of(chats, 0);
  EXPECT_EQ(full.token, (std::vector<int64_t>{300, 301, 302, 303, 304, 305, 306, 307, 308}));
  EXPECT_EQ(full.segment, std::vector<int64_t>(8, 0));
  EXPECT_EQ(full.loss_mask, (std::vector<int>{0, 0, 0, 0, 0, 0, 1, 1}));
  const auto shared = row_of(chats, 1);
  EXPECT_EQ(shared.token, (std::vector<int64_t>{200, 201, 202, 203, 100, 101, 102, 0, 0}));
  EXPECT_EQ(shared.segment, (std::vector<int64_t>{0, 0, 0, -1, 1, 1, -1, -1}));
  EXPECT_EQ(shared.loss_mask, (std::vector<int>{0, 1, 1, 0, 1, 1, 0, 0}));
}

TEST(PackedChats, GivesEachExampleARowOfItsOwnWithoutPacking) {
  const auto chats = packed({3, 4}, false);
  ASSERT_EQ(chats.num_rows(), 2);
  EXPECT_EQ(row_of(chats, 0).token, (std::vector<int64_t>{100, 101, 102, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(row_of(chats, 1).segment, (std::vector<int64_t>{0, 0, 0, -1, -1, -1, -1, -1}));
}

TEST(PackedChats, HaveAnotherFingerprintIfAnyRowIsAnother) {
  const auto fingerprint = packed({3, 4, 9}).fingerprint();
  EXPECT_EQ(packed({3, 4, 9}).fingerprint(), fingerprint);
  EXPECT_NE(packed({3, 4, 9}, false).fingerprint(), fingerprint);
  EXPECT_NE(packed({4, 3, 9}).fingerprint(), fingerprint);
  EXPECT_NE(packed({3, 4, 9, 2}).fingerprint(), fingerprint);
  EXPECT_EQ(ChatTrainingSource(packed({3, 4, 9}), 5, 3).fingerprint(), fingerprint);
}

const std::vector<int64_t> kEqualLengths(7, 9);

std::vector<int64_t> first_ids(ChatTrainingSource& source, int64_t begin, int64_t end) {
  std::vector<int64_t> ids;
  for (int64_t i = begin; i < end; ++i) ids.push_back(read_sample(source, i).token[0]);
  return ids;
}

TEST(ChatTrainingSource, ReadsEveryRowOnceAnEpochInNewOrders) {
  ChatTrainingSource source(packed(kEqualLengths), 5, 3);
  EXPECT_EQ(source.num_samples(), 21);
  std::set<std::vector<int64_t>> orders;
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    auto ids = first_ids(source, 7 * epoch, 7 * epoch + 7);
    orders.insert(ids);
    std::sort(ids.begin(), ids.end());
    EXPECT_EQ(ids, (std::vector<int64_t>{100, 200, 300, 400, 500, 600, 700}));
  }
  EXPECT_EQ(orders.size(), 3);
}

TEST(ChatTrainingSource, DependsOnSeedAndIndexAlone) {
  ChatTrainingSource source(packed(kEqualLengths), 5, 3);
  const auto all = first_ids(source, 0, 21);
  ChatTrainingSource later(packed(kEqualLengths), 5, 3);
  EXPECT_EQ(first_ids(later, 10, 21), std::vector<int64_t>(all.begin() + 10, all.end()));
  EXPECT_EQ(first_ids(later, 3, 10), std::vector<int64_t>(all.begin() + 3, all.begin() + 10));
  ChatTrainingSource longer(packed(kEqualLengths), 5, 0);
  EXPECT_EQ(longer.num_samples(), SampleSource::kEndless);
  EXPECT_EQ(first_ids(longer, 0, 21), all);
  ChatTrainingSource other(packed(kEqualLengths), 6, 3);
  EXPECT_NE(first_ids(other, 0, 21), all);
}

TEST(ChatValidationSource, ReadsRowsInOrderAndSpreadsALimitedNumber) {
  ChatValidationSource all(packed(kEqualLengths));
  ASSERT_EQ(all.num_samples(), 7);
  for (int64_t i = 0; i < 7; ++i) EXPECT_EQ(read_sample(all, i).token[0], 100 * (i + 1));
  ChatValidationSource some(packed(kEqualLengths), 3);
  ASSERT_EQ(some.num_samples(), 3);
  EXPECT_EQ(read_sample(some, 0).token[0], 100);
  EXPECT_EQ(read_sample(some, 1).token[0], 300);
  EXPECT_EQ(read_sample(some, 2).token[0], 500);
}

}  // namespace
}  // namespace granule
