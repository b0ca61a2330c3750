#include "model/balance.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "model/router.h"
#include "tests/support/tensor_compare.h"

namespace granule {
namespace {

Routing routing_of(const at::Tensor& probability_TE, const at::Tensor& chosen_TK) {
  Routing routing;
  routing.chosen_TK = routing.expert_TK = chosen_TK;
  routing.probability_TE = probability_TE;
  return routing;
}

TEST(SequenceBalanceLoss, IsOnePerSequenceUnderUniformRouting) {
  const int64_t T = 8, E = 4;
  const auto chosen_TK = at::stack({at::arange(T).remainder(E), (at::arange(T) + 1).remainder(E)}, 1);
  const auto routing = routing_of(at::full({T, E}, 1.0 / E), chosen_TK);
  EXPECT_NEAR(sequence_balance_loss(routing, SequenceLayout::rows(1, T)).item<double>(), 1.0, 1e-6);
  EXPECT_NEAR(sequence_balance_loss(routing, SequenceLayout::rows(2, T / 2)).item<double>(), 2.0, 1e-6);
}

TEST(SequenceBalanceLoss, IsEWhenEverythingGoesToOneExpertWithCertainty) {
  auto probability_TE = at::zeros({6, 4});
  probability_TE.select(1, 2).fill_(1);
  const auto routing = routing_of(probability_TE, at::full({6, 1}, 2, at::kLong));
  EXPECT_NEAR(sequence_balance_loss(routing, SequenceLayout::rows(1, 6)).item<double>(), 4.0, 1e-6);
}

TEST(SequenceBalanceLoss, GradientIsTheFrequencyOverTheTokens) {
  const int64_t T = 5, E = 3;
  const auto probability_TE = at::softmax(at::randn({T, E}, at::kDouble), 1).detach().requires_grad_();
  const auto chosen_TK = at::tensor({0, 0, 1, 0, 2}, at::kLong).unsqueeze(1);
  sequence_balance_loss(routing_of(probability_TE, chosen_TK), SequenceLayout::rows(1, T)).backward();
  const auto frequency_E = at::tensor({3.0, 1.0, 1.0}, at::kDouble) * (3.0 / T);
  EXPECT_TENSOR_NEAR(probability_TE.grad(), (frequency_E / T).expand({T, E}), 1e-12);
}

TEST(SequenceBalanceLoss, IgnoresPaddingWhateverItHolds) {
  const auto probability_TE = at::softmax(at::randn({4, 3}), 1);
  const auto chosen_TK = at::tensor({0, 2, -1, -1}, at::kLong).unsqueeze(1);
  const auto padded = sequence_balance_loss(
      routing_of(probability_TE, chosen_TK),
      SequenceLayout::from_segments(at::tensor({0, 0, -1, -1}, at::kLong).view({1, 4})));
  const auto bare = sequence_balance_loss(routing_of(probability_TE.narrow(0, 0, 2), chosen_TK.narrow(0, 0, 2)),
                                          SequenceLayout::rows(1, 2));
  EXPECT_NEAR(padded.item<double>(), bare.item<double>(), 1e-6);
}

TEST(SequenceBalanceLoss, SegmentsOfAPackedRowAreSequencesOfTheirOwn) {
  const auto probability_TE = at::softmax(at::randn({5, 3}), 1);
  const auto chosen_TK = at::tensor({0, 2, 1, 1, 0}, at::kLong).unsqueeze(1);
  const auto packed = sequence_balance_loss(
      routing_of(probability_TE, chosen_TK),
      SequenceLayout::from_segments(at::tensor({4, 4, 7, 7, 7}, at::kLong).view({1, 5})));
  const auto part = [&](int64_t first, int64_t count) {
    return sequence_balance_loss(
               routing_of(probability_TE.narrow(0, first, count), chosen_TK.narrow(0, first, count)),
               SequenceLayout::rows(1, count))
        .item<double>();
  };
  EXPECT_NEAR(packed.item<double>(), part(0, 2) + part(2, 3), 1e-6);
}

}  // namespace
}  // namespace granule
