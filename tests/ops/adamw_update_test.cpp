#include "ops/adamw_update.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

#include "tests/ops/every_isa.h"
#include "tests/support/pretend_device.h"
#include "tests/support/tensor_compare.h"

namespace granule {
namespace {

class AdamWOnIsa : public testing::TestWithParam<Isa> {
 private:
  IsaScope scope_{GetParam()};
};

struct State {
  at::Tensor master, m, v;
};

// The formula of the header, element by element, in double.
void naive_adamw(const AdamWStep& step, State& state, const at::Tensor& gradient) {
  const auto t = static_cast<double>(step.update);
  for (int64_t i = 0; i < gradient.numel(); ++i) {
    auto& w = state.master.mutable_data_ptr<double>()[i];
    auto& m = state.m.mutable_data_ptr<double>()[i];
    auto& v = state.v.mutable_data_ptr<double>()[i];
    const double g = gradient.const_data_ptr<float>()[i] * step.gradient_scale;
    m = step.beta1 * m + (1 - step.beta1) * g;
    v = step.beta2 * v + (1 - step.beta2) * g * g;
    w -= step.lr *
         (m / (1 - std::pow(step.beta1, t)) / (std::sqrt(v / (1 - std::pow(step.beta2, t))) + step.eps) +
          step.weight_decay * w);
  }
}

TEST_P(AdamWOnIsa, SeveralUpdatesEqualTheNaiveLoop) {
  for (const int64_t n : {0, 1, 37, 40000}) {
    State state{at::randn({n}), at::zeros({n}), at::zeros({n})};
    State expected{state.master.to(at::kDouble), at::zeros({n}, at::kDouble), at::zeros({n}, at::kDouble)};
    auto copy = at::zeros({n}, at::kBFloat16);
    AdamWStep step{.lr = 0.01, .weight_decay = 0.1, .gradient_scale = 0.5};
    for (step.update = 1; step.update <= 4; ++step.update) {
      auto gradient = at::randn({n});
      if (n > 1) gradient[0] = 0;
      adamw_update(step, state.master, state.m, state.v, gradient, copy);
      naive_adamw(step, expected, gradient);
    }
    EXPECT_TENSOR_NEAR(state.master, expected.master, 1e-6);
    EXPECT_TENSOR_NEAR(state.m, expected.m, 1e-6);
    EXPECT_TENSOR_NEAR(state.v, expected.v, 1e-6);
    EXPECT_TRUE(copy.equal(state.master.to(at::kBFloat16)));
  }
}

// Each moment is the naive one of an update from the rounded ones before it.
TEST_P(AdamWOnIsa, Bf16MomentsAreTheFp32OnesRounded) {
  const int64_t n = 3001;
  const auto start = at::randn({n});
  State state{start.clone(), at::zeros({n}, at::kBFloat16), at::zeros({n}, at::kBFloat16)};
  State expected{start.clone(), at::zeros({n}), at::zeros({n})};
  at::Tensor none;
  AdamWStep step{.lr = 0.01, .weight_decay = 0.1};
  for (step.update = 1; step.update <= 5; ++step.update) {
    const auto gradient = at::randn({n});
    adamw_update(step, state.master, state.m, state.v, gradient, none);
    adamw_update(step, expected.master, expected.m, expected.v, gradient, none);
    EXPECT_TRUE(state.master.equal(expected.master));
    for (auto* moment : {&expected.m, &expected.v}) *moment = moment->to(at::kBFloat16).to(at::kFloat);
    EXPECT_TRUE(state.m.to(at::kFloat).equal(expected.m) && state.v.to(at::kFloat).equal(expected.v));
  }
}

TEST_P(AdamWOnIsa, WhatIsNoNumberStaysNone) {
  State state{at::ones({3}), at::zeros({3}, at::kBFloat16), at::zeros({3}, at::kBFloat16)};
  auto copy = at::zeros({3}, at::kBFloat16);
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  adamw_update({.lr = 0.1}, state.master, state.m, state.v, at::tensor({1.0f, kNan, -kNan}), copy);
  for (const auto* values : {&state.m, &state.v, &copy}) {
    EXPECT_TRUE(values->isnan().equal(at::tensor({0, 1, 1}).to(at::kBool)));
  }
}

TEST_P(AdamWOnIsa, AnElementDoesNotDependOnWhereTheSliceBegins) {
  const int64_t n = 5000, cut = 1237;
  const AdamWStep step{.lr = 0.01, .weight_decay = 0.1, .update = 3};
  at::Tensor none;
  const auto gradient = at::randn({n}), start = at::randn({n});
  State whole{start.clone(), at::rand({n}), at::rand({n})};
  State parts{start.clone(), whole.m.clone(), whole.v.clone()};
  adamw_update(step, whole.master, whole.m, whole.v, gradient, none);
  for (const auto& [begin, count] : {std::pair{int64_t{0}, cut}, std::pair{cut, n - cut}}) {
    auto master = parts.master.narrow(0, begin, count), m = parts.m.narrow(0, begin, count);
    auto v = parts.v.narrow(0, begin, count);
    adamw_update(step, master, m, v, gradient.narrow(0, begin, count), none);
  }
  EXPECT_TRUE(parts.master.equal(whole.master) && parts.m.equal(whole.m) && parts.v.equal(whole.v));
}

// On a device it is updated in pieces of 2^24 elements.
TEST(AdamWOnDevice, AnElementDoesNotDependOnWhereAPieceBegins) {
  const int64_t border = int64_t{1} << 24, begin = border - 3, n = border + 5;
  const AdamWStep step{.lr = 0.01, .weight_decay = 0.1, .update = 3};
  const auto values = at::rand({n}).to(pretend_device());
  const auto zeros = at::zeros({n}, at::kBFloat16).to(pretend_device());
  const auto updated = [&](int64_t first, int64_t count) {
    const auto part = [&](const at::Tensor& all) { return all.narrow(0, first, count).clone(); };
    State state{part(values), part(values), part(values)};
    auto copy = part(zeros);
    adamw_update(step, state.master, state.m, state.v, part(values), copy);
    return std::array{state.master.cpu(), state.m.cpu(), state.v.cpu(), copy.cpu()};
  };
  const auto whole = updated(0, n), part = updated(begin, n - begin);
  for (size_t i = 0; i < whole.size(); ++i) {
    EXPECT_TRUE(whole[i].narrow(0, begin, n - begin).equal(part[i])) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, AdamWOnIsa, testing::ValuesIn(isas_of_this_cpu()));

}  // namespace
}  // namespace granule
