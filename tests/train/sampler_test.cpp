#include "train/sampler.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <map>

#include "base/check.h"

namespace granule {
namespace {

at::Tensor logits_of(const std::vector<double>& probabilities) {
  return at::tensor(probabilities).log();
}

std::map<int64_t, int> draws(const SamplingConfig& config, const at::Tensor& logit_V, int count) {
  Sampler sampler(config);
  std::map<int64_t, int> times;
  for (int i = 0; i < count; ++i) ++times[sampler.choose(logit_V)];
  return times;
}

TEST(Sampler, DrawsByProbabilityAndSharpensWithTemperature) {
  const auto logit_V = logits_of({0.1, 0.2, 0.7});
  const auto plain = draws({.temperature = 1}, logit_V, 4000);
  EXPECT_NEAR(plain.at(2) / 4000.0, 0.7, 0.03);
  EXPECT_NEAR(plain.at(0) / 4000.0, 0.1, 0.02);
  // Temperature 1/2 squares the odds: 0.49 of 0.54.
  EXPECT_NEAR(draws({.temperature = 0.5}, logit_V, 4000).at(2) / 4000.0, 0.907, 0.02);
}

TEST(Sampler, KeepsToTheLikeliestAndToTheNucleus) {
  const auto logit_V = logits_of({0.1, 0.25, 0.4, 0.25});
  EXPECT_EQ(draws({.temperature = 0}, logit_V, 5).at(2), 5);
  const auto top_2 = draws({.temperature = 1, .top_k = 2}, logit_V, 500);
  EXPECT_EQ(top_2.size(), 2u);  // of equal ones the lower id
  EXPECT_TRUE(top_2.contains(1) && top_2.contains(2));
  EXPECT_EQ(draws({.temperature = 1, .top_p = 0.6}, logit_V, 500).size(), 2u);
  EXPECT_EQ(draws({.temperature = 1, .top_p = 0.91}, logit_V, 2000).size(), 4u);
  EXPECT_EQ(draws({.temperature = 1, .top_p = 0.3}, logit_V, 100).size(), 1u);
}

TEST(Sampler, RepeatsWithItsSeed) {
  const auto logit_V = at::zeros({50});
  Sampler first({.seed = 4}), second({.seed = 4}), other({.seed = 5}), other_text({.seed = 4}, 1);
  std::vector<int64_t> a, b, c, d;
  for (int i = 0; i < 20; ++i) {
    a.push_back(first.choose(logit_V));
    b.push_back(second.choose(logit_V));
    c.push_back(other.choose(logit_V));
    d.push_back(other_text.choose(logit_V));
  }
  EXPECT_EQ(a, b);
  EXPECT_NE(a, c);
  EXPECT_NE(a, d);
}

TEST(Sampler, RefusesWhatIsOutOfRange) {
  EXPECT_THROW(check_sampling({.temperature = -1}), ConfigError);
  EXPECT_THROW(check_sampling({.top_k = -1}), ConfigError);
  EXPECT_THROW(check_sampling({.top_p = 0}), ConfigError);
  EXPECT_NO_THROW(check_sampling({}));
}

}  // namespace
}  // namespace granule
