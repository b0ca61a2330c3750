#include "ops/linear.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <omp.h>

#include "tests/ops/every_isa.h"
#include "tests/support/gradient_check.h"
#include "tests/support/naive_ops.h"
#include "tests/support/tensor_compare.h"

namespace granule {
namespace {

struct Shape {
  int64_t R, I, O;
};

class LinearOfDtype : public testing::TestWithParam<std::tuple<Isa, at::ScalarType, double>> {};

TEST_P(LinearOfDtype, ValueAndGradientsEqualTheNaiveLoop) {
  const auto [isa, dtype, tolerance] = GetParam();
  const IsaScope scope(isa);
  for (const auto& [R, I, O] : {Shape{1, 16, 16}, Shape{37, 48, 80}, Shape{0, 16, 32}, Shape{530, 32, 176},
                                Shape{6, 19, 7}, Shape{9, 64, 24}, Shape{200, 32, 63}}) {
    for (const bool preset : {false, true}) {
      SCOPED_TRACE(testing::Message() << R << " rows, " << I << " to " << O);
      const auto x = at::randn({1, R, I}).to(dtype).set_requires_grad(true);
      const auto weight_OI = at::randn({O, I}).to(dtype).set_requires_grad(true);
      const auto grad_y = at::randn({1, R, O}).to(dtype);
      if (preset) weight_OI.mutable_grad() = at::ones({O, I}, dtype == at::kBFloat16 ? at::kFloat : dtype);
      const auto y = apply_linear(x, weight_OI);
      y.backward(grad_y);

      const auto expected = naive_linear(x.squeeze(0), weight_OI, grad_y.squeeze(0));
      EXPECT_EQ(y.scalar_type(), dtype);
      EXPECT_TENSOR_NEAR(y.squeeze(0), expected.y_RO, tolerance);
      EXPECT_TENSOR_NEAR(x.grad().squeeze(0), expected.grad_x_RI, tolerance);
      EXPECT_LE(max_relative_difference(weight_OI.grad(), expected.grad_weight_OI + (preset ? 1.0 : 0.0)),
                tolerance);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, LinearOfDtype,
                         testing::ValuesIn(on_every_isa({{at::kFloat, 3e-5}, {at::kBFloat16, 1e-2}})));
INSTANTIATE_TEST_SUITE_P(LibTorch, LinearOfDtype,
                         testing::Values(std::tuple{kernel_isa(), at::kDouble, 1e-12}));

TEST(Linear, IsTheSameForAnyNumberOfThreads) {
  const auto x_RI = at::randn({700, 64}), grad_RO = at::randn({700, 48});
  const auto weight_OI = at::randn({48, 64}).set_requires_grad(true);
  const auto run = [&](int threads) {
    at::set_num_threads(threads);
    weight_OI.mutable_grad() = at::zeros({48, 64});
    const auto x = x_RI.clone().set_requires_grad(true);
    const auto y = apply_linear(x, weight_OI);
    y.backward(grad_RO);
    return std::vector<at::Tensor>{y.detach(), x.grad(), weight_OI.grad()};
  };
  const int threads = at::get_num_threads();
  const auto alone = run(1), together = run(3);
  at::set_num_threads(threads);
  for (size_t i = 0; i < alone.size(); ++i) EXPECT_TRUE(alone[i].equal(together[i])) << "result " << i;
}

TEST(Linear, IsTheSameWithinAParallelRegion) {
  const auto x_RI = at::randn({50, 64}), weight_OI = at::randn({96, 64});
  const int threads = at::get_num_threads();
  at::set_num_threads(3);
  const auto outside = apply_linear(x_RI, weight_OI);
  std::vector<at::Tensor> inside(2);
#pragma omp parallel num_threads(2)
  inside[static_cast<size_t>(omp_get_thread_num())] = apply_linear(x_RI, weight_OI);
  at::set_num_threads(threads);
  for (const auto& y : inside) {
    if (y.defined()) {
      EXPECT_TRUE(y.equal(outside));
    }
  }
}

TEST(Linear, LeavesAWeightAloneThatNeedsNoGradient) {
  const auto x = at::randn({3, 16}).set_requires_grad(true);
  const auto weight_OI = at::randn({32, 16});
  apply_linear(x, weight_OI).sum().backward();
  EXPECT_TENSOR_NEAR(x.grad(), weight_OI.sum(0).expand({3, 16}), 1e-5);
  EXPECT_FALSE(weight_OI.grad().defined());
}

}  // namespace
}  // namespace granule
