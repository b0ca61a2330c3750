#include "ops/expert_mlp.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "base/check.h"
#include "tests/ops/every_isa.h"
#include "tests/support/gradient_check.h"
#include "tests/support/naive_ops.h"
#include "tests/support/tensor_compare.h"

namespace granule {
namespace {

struct Case {
  const char* name;
  at::Tensor group_TK;
  int64_t E, D, F;
};

std::vector<Case> cases() {
  at::manual_seed(11);
  auto dropped = at::randint(0, 4, {23, 3}, at::kLong);
  dropped.masked_fill_(at::rand({23, 3}) < 0.4, -1);
  return {
      {"widths that no vector divides", at::randint(0, 3, {21, 2}, at::kLong), 3, 19, 13},
      {"widths of whole tiles", at::randint(0, 4, {40, 2}, at::kLong), 4, 64, 48},
      {"an inner width of one vector and a part", at::randint(0, 4, {61, 2}, at::kLong), 4, 48, 44},
      {"an inner width of two", at::randint(0, 3, {30, 2}, at::kLong), 3, 32, 2},
      {"one group of an odd number of rows, in two parts", at::zeros({613, 1}, at::kLong), 1, 80, 70},
      {"an expert without rows", at::randint(1, 3, {18, 1}, at::kLong), 4, 32, 16},
      {"all rows at one expert", at::full({37, 2}, 1, at::kLong), 3, 24, 40},
      {"one row", at::full({1, 1}, 1, at::kLong), 2, 16, 16},
      {"no rows", at::full({5, 2}, -1, at::kLong), 3, 16, 16},
      {"no tokens", at::empty({0, 2}, at::kLong), 3, 16, 16},
      {"dropped slots", dropped, 4, 33, 17},
      {"one group of many rows", at::zeros({700, 1}, at::kLong), 1, 40, 56},
      {"a group longer than the others",
       at::cat({at::zeros({600, 1}, at::kLong), at::ones({9, 1}, at::kLong)}), 2, 17, 32},
  };
}

struct Weights {
  at::Tensor gate, up, down;
};

Weights random_weights(const Case& c, at::ScalarType dtype) {
  const auto make = [&](int64_t out, int64_t in) {
    return (at::randn({c.E, out, in}) / std::sqrt(static_cast<double>(in))).to(dtype).set_requires_grad(true);
  };
  return {make(c.F, c.D), make(c.F, c.D), make(c.D, c.F)};
}

at::Tensor random_scale(const RowOrder& order) {
  return (at::rand({order.num_rows()}) + 0.1).set_requires_grad(true);
}

class ExpertMlpOfDtype : public testing::TestWithParam<std::tuple<Isa, at::ScalarType, double>> {};

TEST_P(ExpertMlpOfDtype, ValueAndEveryGradientEqualTheNaiveLoop) {
  const auto [isa, dtype, tolerance] = GetParam();
  const IsaScope scope(isa);
  for (const auto& c : cases()) {
    SCOPED_TRACE(c.name);
    const auto order = order_rows(c.group_TK, c.E);
    const auto w = random_weights(c, dtype);
    const auto x_TD = at::randn({c.group_TK.size(0), c.D}).to(dtype).set_requires_grad(true);
    const auto scale_N = random_scale(order);
    const auto grad_y_TD = at::randn(x_TD.sizes()).to(dtype);
    const auto y_TD = expert_mlp(x_TD, order, scale_N, {w.gate, w.up, w.down});
    y_TD.backward(grad_y_TD);

    const auto expected =
        naive_expert_mlp(x_TD, order.source_N, order.end_G, scale_N, w.gate, w.up, w.down, grad_y_TD);
    EXPECT_EQ(y_TD.scalar_type(), dtype);
    // Weight gradients are sums over rows; their rounding grows with their size.
    EXPECT_TENSOR_NEAR(y_TD, expected.y_TD, tolerance);
    EXPECT_TENSOR_NEAR(x_TD.grad(), expected.grad_x_TD, 2 * tolerance);
    EXPECT_TENSOR_NEAR(scale_N.grad(), expected.grad_scale_N, std::max(2 * tolerance, 1e-6));
    EXPECT_LE(max_relative_difference(w.gate.grad(), expected.grad_gate_eFD), tolerance);
    EXPECT_LE(max_relative_difference(w.up.grad(), expected.grad_up_eFD), tolerance);
    EXPECT_LE(max_relative_difference(w.down.grad(), expected.grad_down_eDF), tolerance);
  }
}

TEST_P(ExpertMlpOfDtype, AddsToPresetGradientsInPlace) {
  const auto [isa, dtype, tolerance] = GetParam();
  const IsaScope scope(isa);
  for (const auto& c : cases()) {
    SCOPED_TRACE(c.name);
    const auto order = order_rows(c.group_TK, c.E);
    const auto w = random_weights(c, dtype);
    const auto sum_dtype = dtype == at::kBFloat16 ? at::kFloat : dtype;
    std::vector<at::Tensor> preset, before;
    for (auto weight : {w.gate, w.up, w.down}) {
      preset.push_back(at::randn(weight.sizes(), sum_dtype));
      before.push_back(preset.back().clone());
      weight.mutable_grad() = preset.back();
    }
    const auto x_TD = at::randn({c.group_TK.size(0), c.D}).to(dtype).set_requires_grad(true);
    const auto scale_N = random_scale(order);
    const auto grad_y_TD = at::randn(x_TD.sizes()).to(dtype);
    expert_mlp(x_TD, order, scale_N, {w.gate, w.up, w.down}).backward(grad_y_TD);

    const auto expected =
        naive_expert_mlp(x_TD, order.source_N, order.end_G, scale_N, w.gate, w.up, w.down, grad_y_TD);
    const std::vector<at::Tensor> sums = {expected.grad_gate_eFD, expected.grad_up_eFD,
                                          expected.grad_down_eDF};
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(preset[i].scalar_type(), sum_dtype);
      EXPECT_LE(max_relative_difference(preset[i], before[i].to(at::kDouble) + sums[i]), tolerance);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, ExpertMlpOfDtype,
                         testing::ValuesIn(on_every_isa({{at::kFloat, 2e-5}, {at::kBFloat16, 2e-2}})));
INSTANTIATE_TEST_SUITE_P(Matmul, ExpertMlpOfDtype,
                         testing::Values(std::tuple{kernel_isa(), at::kDouble, 1e-12}));

TEST(ExpertMlp, GradientsMatchDifferences) {
  const auto order = order_rows(at::tensor({0, 2, 2, -1, 0, 0}, at::kLong).view({3, 2}), 3);
  const auto function = [&](const std::vector<at::Tensor>& in) {
    return expert_mlp(in[0], order, in[1], {in[2], in[3], in[4]});
  };
  EXPECT_TRUE(gradients_match(function, {at::randn({3, 4}, at::kDouble), at::rand({5}, at::kDouble),
                                         at::randn({3, 5, 4}, at::kDouble), at::randn({3, 5, 4}, at::kDouble),
                                         at::randn({3, 4, 5}, at::kDouble)}));
}

TEST(ExpertMlp, TakesMatricesAsTheWeightsOfOneGroup) {
  const auto order = order_rows(at::zeros({12, 1}, at::kLong), 1);
  const auto x_TD = at::randn({12, 8}), grad_TD = at::randn({12, 8});
  const auto make = [](int64_t out, int64_t in) { return at::randn({out, in}).set_requires_grad(true); };
  const Weights w{make(16, 8), make(16, 8), make(8, 16)};
  w.up.mutable_grad() = at::zeros({16, 8});
  expert_mlp(x_TD, order, {}, {w.gate, w.up, w.down}).backward(grad_TD);
  const auto expected =
      naive_expert_mlp(x_TD, order.source_N, order.end_G, at::ones({12}), w.gate.unsqueeze(0),
                       w.up.unsqueeze(0), w.down.unsqueeze(0), grad_TD);
  EXPECT_LE(max_relative_difference(w.gate.grad(), expected.grad_gate_eFD[0]), 1e-5);
  EXPECT_LE(max_relative_difference(w.up.grad(), expected.grad_up_eFD[0]), 1e-5);
  EXPECT_LE(max_relative_difference(w.down.grad(), expected.grad_down_eDF[0]), 1e-5);
}

TEST(ExpertMlp, WhatScratchHeldBeforeDoesNotMatter) {
  const auto grad_x = [](int64_t rows, int64_t D, int64_t F, double value) {
    const auto order = order_rows(at::zeros({rows, 1}, at::kLong), 1);
    const auto make = [&](int64_t out, int64_t in) { return at::full({out, in}, value); };
    const auto x = make(rows, D).set_requires_grad(true);
    expert_mlp(x, order, {}, {make(F, D).set_requires_grad(true), make(F, D), make(D, F)}).sum().backward();
    return x.grad();
  };
  const auto before = grad_x(21, 64, 44, 0.01);
  grad_x(600, 256, 192, std::nan(""));
  EXPECT_TRUE(grad_x(21, 64, 44, 0.01).equal(before));
}

TEST(ExpertMlp, TwoBackwardsWithoutPresetGradientsAddUp) {
  const auto order = order_rows(at::zeros({6, 1}, at::kLong), 1);
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto x = at::randn({6, 16}).to(dtype);
    const auto make = [&](int64_t out, int64_t in) {
      return at::randn({1, out, in}).to(dtype).set_requires_grad(true);
    };
    const Weights w{make(16, 16), make(16, 16), make(16, 16)};
    expert_mlp(x, order, {}, {w.gate, w.up, w.down}).sum().backward();
    const auto once = w.down.grad().clone();
    expert_mlp(x, order, {}, {w.gate, w.up, w.down}).sum().backward();
    EXPECT_TENSOR_NEAR(w.down.grad(), once * 2, 1e-6);
  }
}

TEST(ExpertMlp, LeavesWeightsAloneThatNeedNoGradient) {
  const auto order = order_rows(at::zeros({5, 1}, at::kLong), 1);
  const auto x_TD = at::randn({5, 8}).set_requires_grad(true);
  const auto gate = at::randn({1, 16, 8}), up = at::randn({1, 16, 8}), down = at::randn({1, 8, 16});
  expert_mlp(x_TD, order, {}, {gate, up, down}).sum().backward();
  EXPECT_TRUE(x_TD.grad().defined());
  EXPECT_FALSE(gate.grad().defined() || up.grad().defined() || down.grad().defined());
}

TEST(ExpertMlp, IsTheSameForAnyNumberOfThreads) {
  const auto order = order_rows(at::randint(0, 5, {400, 2}, at::kLong), 5);
  const Case c{"", {}, 5, 48, 32};
  const auto x_TD = at::randn({400, c.D}), grad_TD = at::randn({400, c.D});
  const auto scale_N = random_scale(order).detach();
  const auto w = random_weights(c, at::kFloat);
  const auto run = [&](int threads) {
    at::set_num_threads(threads);
    const auto x = x_TD.clone().set_requires_grad(true);
    for (auto weight : {w.gate, w.up, w.down}) weight.mutable_grad() = at::zeros(weight.sizes());
    const auto scale = scale_N.clone().set_requires_grad(true);
    const auto y = expert_mlp(x, order, scale, {w.gate, w.up, w.down});
    y.backward(grad_TD);
    return std::vector<at::Tensor>{y.detach(),    x.grad(),    scale.grad(),
                                   w.gate.grad(), w.up.grad(), w.down.grad()};
  };
  const int threads = at::get_num_threads();
  const auto alone = run(1), together = run(3);
  at::set_num_threads(threads);
  for (size_t i = 0; i < alone.size(); ++i) EXPECT_TRUE(alone[i].equal(together[i])) << "result " << i;
}

TEST(ExpertMlp, RefusesScalesOfOtherRows) {
  const auto order = order_rows(at::zeros({2, 1}, at::kLong), 1);
  const auto x = at::randn({2, 8}), gate = at::randn({1, 16, 8}), down = at::randn({1, 8, 16});
  EXPECT_THROW(expert_mlp(x, order, at::ones({3}), {gate, gate, down}), std::exception);
  EXPECT_THROW(expert_mlp(x, order, at::ones({2, 1}), {gate, gate, down}), std::exception);
}

TEST(ExpertMlp, RefusesWeightsOfAnotherShape) {
  const auto order = order_rows(at::zeros({2, 1}, at::kLong), 1);
  const auto x = at::randn({2, 8}), gate = at::randn({1, 16, 8}), down = at::randn({1, 8, 16});
  EXPECT_THROW(expert_mlp(x, order, {}, {gate, at::randn({1, 15, 8}), down}), std::exception);
  EXPECT_THROW(expert_mlp(x, order, {}, {gate, gate, gate}), std::exception);
  EXPECT_THROW(expert_mlp(at::randn({2, 7}), order, {}, {gate, gate, down}), std::exception);
  EXPECT_THROW(expert_mlp(x.to(at::kBFloat16), order, {}, {gate, gate, down}), std::exception);
}

}  // namespace
}  // namespace granule
