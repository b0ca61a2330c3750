#include "ops/adamw_update.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

#include "ops/master_weights.h"
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
  at::Tensor parameter, m, v, remainder = {};
};

void update(const AdamWStep& step, const State& state, const at::Tensor& gradient) {
  adamw_update(step, {state.parameter, state.remainder, state.m, state.v, gradient});
}

// The formula of the header, element by element, in double.
void naive_adamw(const AdamWStep& step, State& state, const at::Tensor& gradient) {
  const auto t = static_cast<double>(step.update);
  for (int64_t i = 0; i < gradient.numel(); ++i) {
    auto& w = state.parameter.mutable_data_ptr<double>()[i];
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
    const State state{at::randn({n}), at::zeros({n}), at::zeros({n})};
    State expected{state.parameter.to(at::kDouble), at::zeros({n}, at::kDouble), at::zeros({n}, at::kDouble)};
    AdamWStep step{.lr = 0.01, .weight_decay = 0.1, .gradient_scale = 0.5};
    for (step.update = 1; step.update <= 4; ++step.update) {
      auto gradient = at::randn({n});
      if (n > 1) gradient[0] = 0;
      update(step, state, gradient);
      naive_adamw(step, expected, gradient);
    }
    EXPECT_TENSOR_NEAR(state.parameter, expected.parameter, 1e-6);
    EXPECT_TENSOR_NEAR(state.m, expected.m, 1e-6);
    EXPECT_TENSOR_NEAR(state.v, expected.v, 1e-6);
  }
}

TEST_P(AdamWOnIsa, AMasterInHalvesIsUpdatedAsAWholeOne) {
  for (const auto moments : {at::kFloat, at::kBFloat16}) {
    const int64_t n = 3001;
    const auto start = at::randn({n}).to(at::kBFloat16);
    const State whole{start.to(at::kFloat), at::zeros({n}, moments), at::zeros({n}, moments)};
    const State halves{start.clone(), at::zeros({n}, moments), at::zeros({n}, moments),
                       at::zeros({n}, at::kShort)};
    AdamWStep step{.lr = 0.01, .weight_decay = 0.1};
    for (step.update = 1; step.update <= 5; ++step.update) {
      const auto gradient = at::randn({n});
      update(step, whole, gradient);
      update(step, halves, gradient);
      EXPECT_TRUE(join_master(halves.parameter, halves.remainder).equal(whole.parameter));
      EXPECT_TRUE(halves.parameter.equal(round_master(whole.parameter)));
      EXPECT_TRUE(halves.m.equal(whole.m) && halves.v.equal(whole.v));
    }
  }
}

// Each moment is the naive one of an update from the rounded ones before it.
TEST_P(AdamWOnIsa, Bf16MomentsAreTheFp32OnesRounded) {
  const int64_t n = 3001;
  const auto start = at::randn({n});
  const State state{start.clone(), at::zeros({n}, at::kBFloat16), at::zeros({n}, at::kBFloat16)};
  State expected{start.clone(), at::zeros({n}), at::zeros({n})};
  AdamWStep step{.lr = 0.01, .weight_decay = 0.1};
  for (step.update = 1; step.update <= 5; ++step.update) {
    const auto gradient = at::randn({n});
    update(step, state, gradient);
    update(step, expected, gradient);
    EXPECT_TRUE(state.parameter.equal(expected.parameter));
    for (auto* moment : {&expected.m, &expected.v}) *moment = moment->to(at::kBFloat16).to(at::kFloat);
    EXPECT_TRUE(state.m.to(at::kFloat).equal(expected.m) && state.v.to(at::kFloat).equal(expected.v));
  }
}

TEST_P(AdamWOnIsa, WhatIsNoNumberStaysNone) {
  const State state{at::ones({3}, at::kBFloat16), at::zeros({3}, at::kBFloat16),
                    at::zeros({3}, at::kBFloat16), at::zeros({3}, at::kShort)};
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  update({.lr = 0.1}, state, at::tensor({1.0f, kNan, -kNan}));
  for (const auto& values : {state.m, state.v, state.parameter}) {
    EXPECT_TRUE(values.isnan().equal(at::tensor({0, 1, 1}).to(at::kBool)));
  }
}

TEST_P(AdamWOnIsa, AnElementDoesNotDependOnWhereTheSliceBegins) {
  const int64_t n = 5000, cut = 1237;
  const AdamWStep step{.lr = 0.01, .weight_decay = 0.1, .update = 3};
  const auto gradient = at::randn({n}), start = at::randn({n}), moment = at::rand({n});
  const auto state = [&](bool in_halves) {
    const auto remainder = at::arange(n).to(at::kShort);
    return State{in_halves ? start.to(at::kBFloat16) : start.clone(), moment.clone(), moment.clone(),
                 in_halves ? remainder : at::Tensor()};
  };
  for (const bool in_halves : {false, true}) {
    const auto whole = state(in_halves), parts = state(in_halves);
    update(step, whole, gradient);
    for (const auto& [begin, count] : {std::pair{int64_t{0}, cut}, std::pair{cut, n - cut}}) {
      const auto part = [&](const at::Tensor& all) {
        return all.defined() ? all.narrow(0, begin, count) : all;
      };
      update(step, {part(parts.parameter), part(parts.m), part(parts.v), part(parts.remainder)},
             part(gradient));
    }
    EXPECT_TRUE(parts.parameter.equal(whole.parameter) && parts.m.equal(whole.m) && parts.v.equal(whole.v));
    if (in_halves) {
      EXPECT_TRUE(parts.remainder.equal(whole.remainder));
    }
  }
}

// On a device it is updated in pieces of 2^24 elements.
TEST(AdamWOnDevice, AnElementDoesNotDependOnWhereAPieceBegins) {
  const int64_t border = int64_t{1} << 24, begin = border - 3, n = border + 5;
  const AdamWStep step{.lr = 0.01, .weight_decay = 0.1, .update = 3};
  const auto values = at::rand({n}).to(pretend_device());
  const auto updated = [&](int64_t first, int64_t count) {
    const auto part = [&](at::ScalarType dtype) {
      return values.narrow(0, first, count).to(dtype, false, true);
    };
    const State state{part(at::kBFloat16), part(at::kFloat), part(at::kFloat), part(at::kShort)};
    update(step, state, part(at::kFloat));
    return std::array{state.parameter.cpu(), state.m.cpu(), state.v.cpu(), state.remainder.cpu()};
  };
  const auto whole = updated(0, n), part = updated(begin, n - begin);
  for (size_t i = 0; i < whole.size(); ++i) {
    EXPECT_TRUE(whole[i].narrow(0, begin, n - begin).equal(part[i])) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, AdamWOnIsa, testing::ValuesIn(isas_of_this_cpu()));

}  // namespace
}  // namespace granule
