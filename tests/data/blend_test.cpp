#include "data/blend.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace granule {
namespace {

// Megatron's rule written as one loop over plain arrays.
std::vector<Blend::Choice> naive_blend(std::vector<double> weights, int64_t count) {
  double sum = 0;
  for (const auto weight : weights) sum += weight;
  for (auto& weight : weights) weight /= sum;
  std::vector<int64_t> taken(weights.size(), 0);
  std::vector<Blend::Choice> choices;
  for (int64_t i = 0; i < count; ++i) {
    size_t best = 0;
    for (size_t d = 1; d < weights.size(); ++d) {
      const auto deficit = [&](size_t s) {
        return weights[s] * static_cast<double>(std::max<int64_t>(i, 1)) - static_cast<double>(taken[s]);
      };
      if (deficit(d) > deficit(best)) best = d;
    }
    choices.push_back({best, taken[best]++});
  }
  return choices;
}

TEST(Blend, ChoosesLikeTheNaiveLoop) {
  for (const auto& weights : {std::vector<double>{1}, {1, 1}, {0.3, 0.7}, {5, 1, 3, 0.01}}) {
    const auto expected = naive_blend(weights, 2000);
    Blend blend(weights);
    for (int64_t i = 0; i < 2000; ++i) {
      const auto choice = blend.at(i);
      ASSERT_EQ(choice.source, expected[static_cast<size_t>(i)].source) << i;
      ASSERT_EQ(choice.index, expected[static_cast<size_t>(i)].index) << i;
    }
  }
}

TEST(Blend, AnswersInAnyOrder) {
  constexpr int64_t kCount = 200'000;
  const std::vector<double> weights{0.2, 0.5, 0.3};
  const auto expected = naive_blend(weights, kCount);
  Blend blend(weights);
  for (const int64_t i : {199'999, 0, 65'536, 65'535, 131'072, 131'071, 131'073, 7, 190'000, 189'999}) {
    const auto choice = blend.at(i);
    EXPECT_EQ(choice.source, expected[static_cast<size_t>(i)].source) << i;
    EXPECT_EQ(choice.index, expected[static_cast<size_t>(i)].index) << i;
  }
}

TEST(Blend, KeepsEveryShareWithinOneSample) {
  const std::vector<double> weights{0.05, 0.6, 0.35};
  Blend blend(weights);
  std::vector<double> taken(3, 0);
  for (int64_t i = 0; i < 10'000; ++i) {
    ++taken[blend.at(i).source];
    for (size_t d = 0; d < 3; ++d) ASSERT_NEAR(taken[d], weights[d] * static_cast<double>(i + 1), 2) << i;
  }
}

}  // namespace
}  // namespace granule
