#include "model/expert_load.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/support/tensor_compare.h"

namespace granule {
namespace {

// Two sequences of two tokens and padding that has chosen nothing; 4 experts in 2 groups.
const SequenceLayout& layout() {
  static const auto layout =
      SequenceLayout::from_segments(at::tensor({0, 0, 1, 1, -1}, at::kLong).view({1, 5}));
  return layout;
}

Routing routing() {
  Routing routing;
  routing.chosen_TK =
      at::tensor({0, 1, /**/ 0, 2, /**/ 3, 2, /**/ 3, 1, /**/ -1, -1}, at::kLong).view({5, 2});
  routing.counted_TK =
      at::tensor({0, 1, /**/ 0, 1, /**/ 3, 2, /**/ 3, 1, /**/ -1, -1}, at::kLong).view({5, 2});
  routing.probability_TE = at::softmax(at::randn({5, 4}, at::kDouble), 1);
  return routing;
}

TEST(CountChoices, CountsExpertsByTheCountedChoiceGroupsByTheRealOneAndTokens) {
  const auto by_sequence = count_choices(routing(), layout(), LoadScope::kSequence, 2);
  EXPECT_TRUE(by_sequence.equal(at::tensor({2, 2, 0, 0, /**/ 2, 1, /**/ 2,  //
                                            0, 1, 1, 2, /**/ 1, 2, /**/ 2},
                                           at::kLong)
                                    .view({2, 7})));
  const auto of_batch = count_choices(routing(), layout(), LoadScope::kBatch, 2);
  EXPECT_TRUE(of_batch.equal(by_sequence.sum(0, /*keepdim=*/true)));
  EXPECT_TRUE(count_choices(routing(), layout(), LoadScope::kBatch, 0)
                  .equal(at::tensor({2, 3, 1, 2, /**/ 4}, at::kLong).view({1, 5})));
}

TEST(ExpertLoad, IsAMeanOverEachSequenceOrAShareOfTheBatch) {
  const auto given = routing();
  const ForwardContext context{layout(), 0.5, 0.1};
  const auto load = expert_load(given, context, LoadScope::kSequence,
                                count_choices(given, layout(), LoadScope::kSequence, 2));
  EXPECT_TENSOR_NEAR(load.frequency_sE[0], at::tensor({2.0, 2.0, 0.0, 0.0}, at::kDouble), 1e-15);
  EXPECT_TENSOR_NEAR(load.reach_sG[1], at::tensor({1.0, 2.0}, at::kDouble), 1e-15);
  EXPECT_TENSOR_NEAR(load.probability_sE[1], given.probability_TE.narrow(0, 2, 2).mean(0) * 0.5, 1e-15);

  // With the counts of a larger batch the frequencies follow them, the probabilities are this micro-batch's.
  const auto count_sC = count_choices(given, layout(), LoadScope::kBatch, 2);
  auto others = count_sC.clone();
  others[0].copy_(at::tensor({0, 0, 4, 4, /**/ 0, 4, /**/ 4}, at::kLong));
  const auto more = expert_load(given, context, LoadScope::kBatch, count_sC + others);
  EXPECT_TENSOR_NEAR(more.frequency_sE[0], at::tensor({2.0, 3.0, 5.0, 6.0}, at::kDouble) / 4, 1e-15);
  EXPECT_TENSOR_NEAR(more.probability_sE[0], given.probability_TE.narrow(0, 0, 4).sum(0) * 0.1, 1e-15);
}

TEST(ExpertLoad, OfNothingButPaddingIsZeroAndFinite) {
  const auto padding = SequenceLayout::from_segments(at::full({1, 5}, -1, at::kLong));
  auto given = routing();
  given.chosen_TK = given.counted_TK = at::full({5, 2}, -1, at::kLong);
  for (const auto scope : {LoadScope::kSequence, LoadScope::kBatch}) {
    const auto count_sC = count_choices(given, padding, scope, 2);
    EXPECT_EQ(count_sC.sum().item<int64_t>(), 0);
    const auto load = expert_load(given, {padding, 0.5, 0.1}, scope, count_sC);
    EXPECT_EQ((load.frequency_sE * load.probability_sE).sum().item<double>(), 0);
  }
}

}  // namespace
}  // namespace granule
