#include "data/pretraining_source.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/support/token_files.h"

namespace granule {
namespace {

TEST(PretrainingSource, GivesEverySampleOfAnEpochOnceBeforeTheNext) {
  const DataDirectory directory;
  // All ids differ, so a sample is known by its first.
  const Documents documents{
      {1, 2, 3, 4, 5}, {6, 7}, {8, 9, 10, 11, 12, 13}, {14, 15, 16, 17, 18, 19, 20, 21}};
  PretrainingSource source(TokenFile(directory.write_tokens("x", documents)), 4, 5, "x");
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    std::set<int64_t> inputs;
    for (int64_t i = 0; i < 5; ++i) {
      const auto sample = read_sample(source, epoch * 5 + i);
      inputs.insert(sample.token.begin(), sample.token.end() - 1);
    }
    EXPECT_EQ(inputs.size(), 20u) << "epoch " << epoch;
  }
}

TEST(PretrainingSource, DependsOnIndexAloneWhateverWasReadBefore) {
  const DataDirectory directory;
  const auto prefix = directory.write_tokens("x", random_documents(20, 30, 500));
  PretrainingSource forward(TokenFile(prefix), 8, 5, "x");
  std::vector<Sample> samples;
  for (int64_t i = 0; i < 200; ++i) samples.push_back(read_sample(forward, i));
  PretrainingSource jumping(TokenFile(prefix), 8, 5, "x");
  for (int64_t i = 199; i >= 0; i -= 7) {
    EXPECT_EQ(read_sample(jumping, i).token, samples[static_cast<size_t>(i)].token) << i;
  }
  PretrainingSource other_seed(TokenFile(prefix), 8, 6, "x");
  EXPECT_NE(read_sample(other_seed, 0).token, samples[0].token);
}

TEST(PretrainingSource, HasAnotherFingerprintIfDocumentsAreOthers) {
  const DataDirectory directory;
  const auto fingerprint = [&](const Documents& documents) {
    return PretrainingSource(TokenFile(directory.write_tokens("x", documents)), 4, 5, "x").fingerprint();
  };
  const Documents documents{{1, 2, 3, 4, 5}, {6, 7}};
  const auto first = fingerprint(documents);
  EXPECT_EQ(fingerprint(documents), first);
  EXPECT_NE(fingerprint({{1, 2, 3, 4, 5}, {6, 7}, {8}}), first);
  EXPECT_NE(fingerprint({{6, 7}, {1, 2, 3, 4, 5}}), first);
  EXPECT_NE(fingerprint({{1, 2, 3, 4, 9}, {6, 7}}), first) << "of the same lengths";
}

TEST(PretrainingSource, CountsEveryLabelInOneSegmentUnlessTold) {
  const DataDirectory directory;
  PretrainingSource source(TokenFile(directory.write_tokens("x", random_documents(20, 6, 500))), 16, 5, "x");
  for (int64_t i = 0; i < 3; ++i) {
    const auto sample = read_sample(source, i);
    EXPECT_EQ(sample.loss_mask, std::vector<int>(16, 1));
    EXPECT_EQ(sample.segment, std::vector<int64_t>(16, 0));
  }
}

// Documents end in id 0 and nowhere else hold it, so the expected marks follow from the tokens.
TEST(PretrainingSource, KeepsDocumentsApartAndSkipsTheirFirstTokens) {
  const DataDirectory directory;
  const auto prefix = directory.write_tokens("x", random_documents(40, 9, 500));
  PretrainingSource source(TokenFile(prefix), 16, 5, "x", {.keep_apart = true, .skip_first_token = true});
  bool met_a_border = false;
  for (int64_t i = 0; i < EpochOrder::num_samples(TokenFile(prefix), 16); ++i) {
    const auto sample = read_sample(source, i);
    int64_t segment = 0;
    for (size_t t = 0; t < 16; ++t) {
      EXPECT_EQ(sample.segment[t], segment);
      const bool ends_document = sample.token[t] == 0;
      EXPECT_EQ(sample.loss_mask[t], !ends_document) << i << " " << t;
      if (ends_document) ++segment;
      met_a_border |= ends_document;
    }
  }
  EXPECT_TRUE(met_a_border);
}

TEST(PretrainingSource, RefusesAFileShorterThanOneSample) {
  const DataDirectory directory;
  const auto prefix = directory.write_tokens("short", {{1, 2, 3}});
  EXPECT_EQ(input_error_of([&] { PretrainingSource source(TokenFile(prefix), 8, 5, "x"); }),
            prefix + ": holds 3 tokens, one sample takes 9");
}

}  // namespace
}  // namespace granule
