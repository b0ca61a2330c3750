#include "train/expert_analysis.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

namespace granule {
namespace {

ExpertUse counting(std::vector<int64_t> counts) {
  ExpertUse use;
  use.count_E = at::tensor(counts, at::kLong);
  return use;
}

double divergence(std::vector<std::vector<int64_t>> counts) {
  std::vector<ExpertUse> uses;
  for (auto& of_set : counts) uses.push_back(counting(of_set));
  std::vector<const ExpertUse*> pointers;
  for (const auto& use : uses) pointers.push_back(&use);
  return domain_divergence(pointers);
}

TEST(DomainDivergence, IsZeroForTheSameSharesWhateverTheNumberOfTokens) {
  EXPECT_NEAR(divergence({{1, 2, 1}, {10, 20, 10}}), 0, 1e-15);
  EXPECT_EQ(divergence({{5, 1}}), 0);
}

TEST(DomainDivergence, IsTheLogOfTheSetsIfTheyShareNoExpert) {
  EXPECT_NEAR(divergence({{3, 5, 0, 0}, {0, 0, 7, 1}}), std::log(2), 1e-12);
  EXPECT_NEAR(divergence({{3, 0, 0}, {0, 1, 0}, {0, 0, 7}}), std::log(3), 1e-12);
}

TEST(DomainDivergence, WeighsSetsAlike) {
  // Shares (1, 0) and (1/2, 1/2): the mean is (3/4, 1/4).
  const double mean_entropy = -(0.75 * std::log(0.75) + 0.25 * std::log(0.25));
  EXPECT_NEAR(divergence({{8, 0}, {1, 1}}), mean_entropy - 0.5 * std::log(2), 1e-12);
}

}  // namespace
}  // namespace granule
