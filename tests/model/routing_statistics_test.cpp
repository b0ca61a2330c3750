#include "model/routing_statistics.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

namespace granule {
namespace {

Routing dropped_and_padded() {
  Routing routing;
  routing.chosen_TK = at::tensor({0, 1, /**/ 0, 2, /**/ -1, -1}, at::kLong).view({3, 2});
  routing.expert_TK = at::tensor({0, 1, /**/ -1, 2, /**/ -1, -1}, at::kLong).view({3, 2});
  routing.probability_TE = at::full({3, 4}, 0.25, at::kDouble);
  return routing;
}

const SequenceLayout& layout() {
  static const auto layout = SequenceLayout::from_segments(at::tensor({0, 0, -1}, at::kLong).view({1, 3}));
  return layout;
}

TEST(RoutingStatistics, TellTakenFromChosenAndLeavePaddingOut) {
  const auto statistics = summarize(dropped_and_padded(), layout(), {});
  EXPECT_TRUE(statistics.count_E().equal(at::tensor({1, 1, 1, 0}, at::kLong)));
  EXPECT_TRUE(statistics.chosen_E().equal(at::tensor({2, 1, 1, 0}, at::kLong)));
  EXPECT_EQ(statistics.num_tokens(), 2);
  EXPECT_NEAR(statistics.entropy_sum(), 2 * std::log(4.0), 1e-12);
  EXPECT_EQ(statistics.balance().expert, 0);
}

TEST(RoutingStatistics, AnExpertOfNoProbabilityAddsNothingToTheEntropy) {
  auto routing = dropped_and_padded();
  routing.probability_TE = at::tensor({0.5, 0.5, 0.0, 0.0}, at::kDouble).expand({3, 4});
  EXPECT_NEAR(summarize(routing, layout(), {}).entropy_sum(), 2 * std::log(2.0), 1e-12);
}

TEST(RoutingStatistics, AddUp) {
  const BalanceLosses losses{at::full({}, 1.0), at::full({}, 2.0), at::full({}, 3.0), at::full({}, 4.0)};
  const auto part = [&] { return std::vector{summarize(dropped_and_padded(), layout(), losses)}; };
  std::vector<RoutingStatistics> sum;
  add_statistics(sum, part());
  add_statistics(sum, part());
  const auto& total = sum.front();
  EXPECT_TRUE(total.count_E().equal(at::tensor({2, 2, 2, 0}, at::kLong)));
  EXPECT_TRUE(total.chosen_E().equal(at::tensor({4, 2, 2, 0}, at::kLong)));
  EXPECT_EQ(total.num_tokens(), 4);
  EXPECT_NEAR(total.entropy_sum(), 4 * std::log(4.0), 1e-12);
  EXPECT_EQ(total.balance().expert, 2);
  EXPECT_EQ(total.balance().device, 4);
  EXPECT_EQ(total.balance().communication, 6);
  EXPECT_EQ(total.balance().z, 8);
}

}  // namespace
}  // namespace granule
