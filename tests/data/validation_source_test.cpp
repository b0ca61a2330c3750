#include "data/validation_source.h"

#include <gtest/gtest.h>

#include "tests/support/token_files.h"

namespace granule {
namespace {

std::vector<TokenFile> open(const std::vector<std::string>& prefixes) {
  std::vector<TokenFile> files;
  for (const auto& prefix : prefixes) files.emplace_back(prefix);
  return files;
}

// The labels that count, in order of samples, are the files without their first tokens.
TEST(ValidationSource, MakesEveryTokenButAFilesFirstALabelOnceInOrder) {
  const DataDirectory directory;
  for (const int64_t length : {1, 2, 7, 8, 9, 16, 17, 100}) {
    const Documents a{std::vector<int64_t>(static_cast<size_t>(length), 0)};
    auto first = a;
    for (int64_t i = 0; i < length; ++i) first[0][static_cast<size_t>(i)] = i + 1;
    const auto second = random_documents(5, 20, 500);
    ValidationSource source(open({directory.write_tokens("a", first), directory.write_tokens("b", second)}),
                            8);

    auto expected = joined(first);
    expected.erase(expected.begin());
    const auto rest = joined(second);
    expected.insert(expected.end(), rest.begin() + 1, rest.end());

    std::vector<int64_t> labels;
    for (int64_t i = 0; i < source.num_samples(); ++i) {
      const auto sample = read_sample(source, i);
      for (size_t t = 0; t < 8; ++t) {
        if (sample.loss_mask[t]) labels.push_back(sample.token[t + 1]);
      }
    }
    EXPECT_EQ(labels, expected) << length;
  }
}

TEST(ValidationSource, PadsAFilesLastSample) {
  const DataDirectory directory;
  ValidationSource source(open({directory.write_tokens("a", {{1, 2, 3, 4, 5, 6}})}), 4);
  ASSERT_EQ(source.num_samples(), 2);
  const auto sample = read_sample(source, 1);
  EXPECT_EQ(sample.token, (std::vector<int64_t>{5, 6, 0, 0, 0}));
  EXPECT_EQ(sample.loss_mask, (std::vector<int>{1, 0, 0, 0}));
  EXPECT_EQ(sample.segment, (std::vector<int64_t>{0, -1, -1, -1}));
}

TEST(ValidationSource, SpreadsALimitedNumberOfSamplesEvenly) {
  const DataDirectory directory;
  const auto prefix = directory.write_tokens("a", random_documents(50, 40, 500));
  ValidationSource all(open({prefix}), 8);
  ValidationSource some(open({prefix}), 8, 10);
  ASSERT_GT(all.num_samples(), 50);
  ASSERT_EQ(some.num_samples(), 10);
  for (int64_t i = 0; i < 10; ++i) {
    EXPECT_EQ(read_sample(some, i).token, read_sample(all, i * all.num_samples() / 10).token);
  }
  EXPECT_EQ(ValidationSource(open({prefix}), 8, 1'000'000).num_samples(), all.num_samples());
}

TEST(ValidationSource, KeepsDocumentsApart) {
  const DataDirectory directory;
  const Documents documents{{1, 2}, {}, {3, 4, 5}, {6}, {7, 8, 9}};
  ValidationSource source(open({directory.write_tokens("a", documents)}), 4, SampleSource::kEndless,
                          {.keep_apart = true, .skip_first_token = true});
  const auto first = read_sample(source, 0);
  EXPECT_EQ(first.token, (std::vector<int64_t>{1, 2, 3, 4, 5}));
  EXPECT_EQ(first.segment, (std::vector<int64_t>{0, 0, 1, 1}));
  EXPECT_EQ(first.loss_mask, (std::vector<int>{1, 0, 1, 1}));
  const auto second = read_sample(source, 1);
  EXPECT_EQ(second.token, (std::vector<int64_t>{5, 6, 7, 8, 9}));
  EXPECT_EQ(second.segment, (std::vector<int64_t>{0, 1, 2, 2}));
  EXPECT_EQ(second.loss_mask, (std::vector<int>{0, 0, 1, 1}));
}

}  // namespace
}  // namespace granule
