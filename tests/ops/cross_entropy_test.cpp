#include "ops/cross_entropy.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/ops/every_isa.h"
#include "tests/support/gradient_check.h"
#include "tests/support/naive_ops.h"
#include "tests/support/tensor_compare.h"

namespace granule {
namespace {

struct Shape {
  int64_t T, D, V;
};

class CrossEntropyOfDtype : public testing::TestWithParam<std::tuple<Isa, at::ScalarType, double>> {};

TEST_P(CrossEntropyOfDtype, ValueAndGradientsEqualTheNaiveLoop) {
  const auto [isa, dtype, tolerance] = GetParam();
  const IsaScope scope(isa);
  at::manual_seed(3);
  for (const auto& [T, D, V] : {Shape{1, 8, 5}, Shape{37, 19, 301}, Shape{70, 32, 64}, Shape{0, 16, 16},
                                Shape{530, 16, 37}, Shape{21, 48, 1100}}) {
    for (const bool preset : {false, true}) {
      const auto hidden_TD = at::randn({T, D}).to(dtype).set_requires_grad(true);
      const auto head_VD = at::randn({V, D}).to(dtype).set_requires_grad(true);
      const auto grad_dtype = dtype == at::kDouble ? at::kDouble : at::kFloat;
      if (preset) head_VD.mutable_grad() = at::ones({V, D}, grad_dtype);
      const auto mask_T = at::rand({T}) < 0.7;
      const auto label_T = at::randint(0, V, {T}, at::kLong).masked_fill(~mask_T, -100);
      const auto [loss_T, sum] = cross_entropy(hidden_TD, head_VD, label_T, mask_T);
      (sum * 0.75).backward();

      const auto weight_T = at::full({T}, 0.75, grad_dtype);
      const auto expected = naive_cross_entropy(hidden_TD, head_VD, label_T, mask_T, weight_T);
      const double value_tolerance = dtype == at::kDouble ? 1e-12 : 1e-5;
      EXPECT_EQ(loss_T.scalar_type(), grad_dtype);
      EXPECT_TENSOR_NEAR(loss_T, expected.loss_T, value_tolerance);
      EXPECT_TENSOR_NEAR(sum, expected.loss_T.sum(), value_tolerance);
      EXPECT_TENSOR_NEAR(hidden_TD.grad(), expected.grad_hidden_TD, tolerance);
      EXPECT_TENSOR_NEAR(head_VD.grad(), expected.grad_head_VD + (preset ? 1.0 : 0.0), tolerance);
    }
  }
}

TEST_P(CrossEntropyOfDtype, ANaNIsNotHidden) {
  const auto [isa, dtype, tolerance] = GetParam();
  const IsaScope scope(isa);
  for (const int64_t V : {40, 1100}) {
    const auto hidden_TD = at::randn({21, 32}), head_VD = at::randn({V, 32});
    head_VD[V - 9][3] = std::numeric_limits<float>::quiet_NaN();
    const auto label_T = at::zeros({21}, at::kLong), mask_T = at::ones({21}, at::kBool);
    const auto loss_T = cross_entropy(hidden_TD.to(dtype), head_VD.to(dtype), label_T, mask_T).loss_T;
    EXPECT_TRUE(loss_T.isnan().all().item<bool>());
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, CrossEntropyOfDtype,
                         testing::ValuesIn(on_every_isa({{at::kFloat, 1e-5}, {at::kBFloat16, 2e-2}})));
INSTANTIATE_TEST_SUITE_P(Matmul, CrossEntropyOfDtype,
                         testing::Values(std::tuple{kernel_isa(), at::kDouble, 1e-12}));

TEST(CrossEntropy, IsTheSameForAnyNumberOfThreads) {
  const auto hidden_TD = at::randn({530, 32}), head_VD = at::randn({1100, 32}).set_requires_grad(true);
  const auto label_T = at::randint(0, 1100, {530}, at::kLong), mask_T = at::rand({530}) < 0.9;
  const auto run = [&](int threads) {
    at::set_num_threads(threads);
    head_VD.mutable_grad() = at::zeros({1100, 32});
    const auto hidden = hidden_TD.clone().set_requires_grad(true);
    const auto losses = cross_entropy(hidden, head_VD, label_T, mask_T);
    losses.sum.backward();
    return std::vector<at::Tensor>{losses.loss_T, hidden.grad(), head_VD.grad()};
  };
  const int threads = at::get_num_threads();
  const auto alone = run(1), together = run(3);
  at::set_num_threads(threads);
  for (size_t i = 0; i < alone.size(); ++i) EXPECT_TRUE(alone[i].equal(together[i])) << "result " << i;
}

TEST(CrossEntropy, GradientsMatchDifferences) {
  const auto label_T = at::tensor({4, -1, 0}, at::kLong);
  const auto mask_T = at::tensor({1, 0, 1}, at::kLong).to(at::kBool);
  const auto function = [&](const std::vector<at::Tensor>& in) {
    return cross_entropy(in[0], in[1], label_T, mask_T).sum;
  };
  EXPECT_TRUE(gradients_match(function, {at::randn({3, 4}, at::kDouble), at::randn({5, 4}, at::kDouble)}));
}

TEST(CrossEntropy, ForwardAloneLeavesGradientsAsTheyAre) {
  const auto hidden_TD = at::randn({9, 16}).set_requires_grad(true);
  const auto head_VD = at::randn({40, 16}).set_requires_grad(true);
  head_VD.mutable_grad() = at::ones({40, 16});
  const auto label_T = at::randint(0, 40, {9}, at::kLong), mask_T = at::ones({9}, at::kBool);
  const auto recorded = cross_entropy(hidden_TD, head_VD, label_T, mask_T);
  EXPECT_TRUE(head_VD.grad().equal(at::ones({40, 16})));
  EXPECT_FALSE(recorded.loss_T.requires_grad());
  const at::NoGradGuard no_gradients;
  const auto alone = cross_entropy(hidden_TD, head_VD, label_T, mask_T);
  EXPECT_FALSE(alone.sum.requires_grad());
  EXPECT_TRUE(alone.loss_T.equal(recorded.loss_T));
}

TEST(CrossEntropy, AWideVocabularyGoesInSmallerChunks) {
  const auto label_T = at::randint(0, 40000, {230}, at::kLong), mask_T = at::rand({230}) < 0.9;
  const auto hidden_TD = at::randn({230, 32}), head_VD = at::randn({40000, 32});
  const auto run = [&](at::ScalarType dtype) {
    const auto hidden = hidden_TD.to(dtype, false, /*copy=*/true).set_requires_grad(true);
    const auto head = head_VD.to(dtype, false, /*copy=*/true).set_requires_grad(true);
    const auto losses = cross_entropy(hidden, head, label_T, mask_T);
    losses.sum.backward();
    return std::vector<at::Tensor>{losses.loss_T, hidden.grad(), head.grad()};
  };
  const auto expected = run(at::kDouble);
  for (const Isa isa : isas_of_this_cpu()) {
    const IsaScope scope(isa);
    const auto found = run(at::kFloat);
    // Logits of up to 30 are rounded by 1e-6, probabilities as much, times the head's values.
    for (size_t i = 0; i < found.size(); ++i) EXPECT_TENSOR_NEAR(found[i], expected[i], 3e-5);
  }
}

TEST(CrossEntropy, FollowsLogitsThatClimbFarAboveTheFirst) {
  // From 0 to 175 and back over the vocabulary, the other way round, and hardly at all. A rounding of the
  // highest logit is one of 1e-5 in its probability, times 175 in the gradient of the hidden row.
  const auto climb_V = (700 - (at::arange(1401, at::kFloat) - 700).abs()) / 4;
  const auto head_VD = climb_V.unsqueeze(1).expand({1401, 16}).contiguous();
  const auto sign_T = at::tensor({1.0f, -1.0f, 0.01f}).unsqueeze(1);
  const auto hidden_TD = sign_T.expand({3, 16}).contiguous() / 16;
  const auto label_T = at::tensor({699, 3, 1400}, at::kLong), mask_T = at::ones({3}, at::kBool);
  const auto expected = naive_cross_entropy(hidden_TD, head_VD, label_T, mask_T, at::ones({3}));
  for (const Isa isa : isas_of_this_cpu()) {
    const IsaScope scope(isa);
    const auto hidden = hidden_TD.clone().set_requires_grad(true),
               head = head_VD.clone().set_requires_grad(true);
    const auto losses = cross_entropy(hidden, head, label_T, mask_T);
    losses.sum.backward();
    EXPECT_TENSOR_NEAR(losses.loss_T, expected.loss_T, 1e-5);
    EXPECT_TENSOR_NEAR(hidden.grad(), expected.grad_hidden_TD, 4e-3);
    EXPECT_TENSOR_NEAR(head.grad(), expected.grad_head_VD, 1e-5);
  }
}

TEST(CrossEntropy, AFrozenHeadGetsNoGradient) {
  const auto hidden_TD = at::randn({9, 16}).set_requires_grad(true);
  const auto head_VD = at::randn({40, 16});
  const auto label_T = at::randint(0, 40, {9}, at::kLong), mask_T = at::ones({9}, at::kBool);
  cross_entropy(hidden_TD, head_VD, label_T, mask_T).sum.backward();
  const auto expected = naive_cross_entropy(hidden_TD, head_VD, label_T, mask_T, at::ones({9}));
  EXPECT_TENSOR_NEAR(hidden_TD.grad(), expected.grad_hidden_TD, 1e-5);
  EXPECT_FALSE(head_VD.grad().defined());
}

TEST(HeadLogits, AreThoseOfTheLossAndNotRounded) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto hidden_ND = at::randn({3, 48}).to(dtype), head_VD = at::randn({600, 48}).to(dtype);
    const auto label_N = at::tensor({0, 255, 599}, at::kLong);
    const auto logit_NV = head_logits(hidden_ND, head_VD);
    ASSERT_EQ(logit_NV.scalar_type(), at::kFloat);
    EXPECT_TENSOR_NEAR(logit_NV.to(at::kDouble),
                       at::mm(hidden_ND.to(at::kDouble), head_VD.to(at::kDouble).t()), 1e-5);
    const auto loss_N = -at::log_softmax(logit_NV, 1).gather(1, label_N.unsqueeze(1)).squeeze(1);
    const auto losses = cross_entropy(hidden_ND, head_VD, label_N, at::ones({3}, at::kBool));
    EXPECT_TENSOR_NEAR(losses.loss_T, loss_N, 1e-5);
  }
}

TEST(CrossEntropy, RefusesLabelsThatThereAreNot) {
  const auto hidden_TD = at::randn({3, 16}), head_VD = at::randn({64, 16}), mask_T = at::ones({3}, at::kBool);
  for (const int64_t label : {-1, 64}) {
    EXPECT_ANY_THROW(cross_entropy(hidden_TD, head_VD, at::full({3}, label, at::kLong), mask_T));
  }
}

TEST(CrossEntropy, StaysFiniteForHugeLogits) {
  const auto hidden_TD = at::full({1, 16}, 2500.0).set_requires_grad(true);
  const auto head_VD = at::tensor({0.25f, -0.25f}).view({2, 1}).expand({2, 16}).contiguous();
  for (const Isa isa : isas_of_this_cpu()) {
    const IsaScope scope(isa);
    hidden_TD.mutable_grad() = at::Tensor();
    const auto losses = cross_entropy(hidden_TD, head_VD, at::ones({1}, at::kLong), at::ones({1}, at::kBool));
    losses.sum.backward();
    EXPECT_TENSOR_NEAR(losses.loss_T, at::tensor({2e4f}), 1e-6);
    EXPECT_TENSOR_NEAR(hidden_TD.grad(), at::full({1, 16}, 0.5f), 1e-6);
  }
}

}  // namespace
}  // namespace granule
