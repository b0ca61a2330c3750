#include "data/blended_source.h"

#include <gtest/gtest.h>

#include "data/pretraining_source.h"
#include "tests/support/token_files.h"

namespace granule {
namespace {

TEST(BlendedSource, ReadsTheSampleThatTheBlendNames) {
  const DataDirectory directory;
  const auto a = directory.write_tokens("a", random_documents(20, 30, 500, 1));
  const auto b = directory.write_tokens("b", random_documents(20, 30, 500, 2));
  const auto open = [&](const std::string& prefix, const char* name) {
    return std::make_unique<PretrainingSource>(TokenFile(prefix), 8, 3, name);
  };
  std::vector<std::unique_ptr<SampleSource>> sources;
  sources.push_back(open(a, "a"));
  sources.push_back(open(b, "b"));
  BlendedSource blended(std::move(sources), {1, 3});

  const auto alone_a = open(a, "a");
  const auto alone_b = open(b, "b");
  Blend blend({1, 3});
  for (int64_t i = 0; i < 100; ++i) {
    const auto [source, index] = blend.at(i);
    EXPECT_EQ(read_sample(blended, i).token, read_sample(source == 0 ? *alone_a : *alone_b, index).token)
        << i;
  }
}

TEST(BlendedSource, HasAFingerprintOfAllItsSources) {
  const DataDirectory directory;
  const auto a = directory.write_tokens("a", random_documents(20, 30, 500, 1));
  const auto b = directory.write_tokens("b", random_documents(20, 30, 500, 2));
  const auto fingerprint = [&](const std::vector<std::string>& prefixes) {
    std::vector<std::unique_ptr<SampleSource>> sources;
    for (const auto& prefix : prefixes) {
      sources.push_back(std::make_unique<PretrainingSource>(TokenFile(prefix), 8, 3, "x"));
    }
    return BlendedSource(std::move(sources), std::vector<double>(prefixes.size(), 1)).fingerprint();
  };
  EXPECT_EQ(fingerprint({a, b}), fingerprint({a, b}));
  EXPECT_NE(fingerprint({a, b}), fingerprint({a, a}));
  EXPECT_NE(fingerprint({a, b}), fingerprint({b, a}));
}

}  // namespace
}  // namespace granule
