#include "ops/row_order.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "base/check.h"
#include "tests/ops/every_isa.h"
#include "tests/support/naive_ops.h"
#include "tests/support/tensor_compare.h"

namespace granule {
namespace {

// Groups of T tokens with K slots: random ones, all in one group, one empty group, all dropped, none at all.
std::vector<std::pair<at::Tensor, int64_t>> group_cases() {
  at::manual_seed(5);
  auto some_dropped = at::randint(0, 7, {19, 4}, at::kLong);
  some_dropped.masked_fill_(at::rand({19, 4}) < 0.3, -1);
  return {{at::randint(0, 5, {17, 3}, at::kLong), 5},
          {at::full({6, 2}, 2, at::kLong), 4},
          {at::randint(1, 3, {33, 1}, at::kLong), 3},
          {at::full({4, 2}, -1, at::kLong), 3},
          {at::empty({0, 2}, at::kLong), 3},
          {at::zeros({1, 1}, at::kLong), 1},
          {some_dropped, 7}};
}

TEST(OrderRows, EqualsTheNaiveLoop) {
  for (const auto& [group_TK, num_groups] : group_cases()) {
    const auto order = order_rows(group_TK, num_groups);
    const auto expected = naive_order_rows(group_TK, num_groups);
    EXPECT_TRUE(order.source_N.equal(expected.source_N));
    EXPECT_TRUE(order.position_TK.equal(expected.position_TK));
    EXPECT_EQ(order.end_G, expected.end_G);
    EXPECT_EQ(order.num_rows(), expected.source_N.size(0));
  }
}

TEST(OrderRows, RefusesAGroupThatIsNone) {
  EXPECT_THROW(order_rows(at::full({1, 1}, 3, at::kLong), 3), std::exception);
  EXPECT_THROW(order_rows(at::full({1, 1}, -2, at::kLong), 3), std::exception);
}

class RowsOfDtype : public testing::TestWithParam<std::tuple<Isa, at::ScalarType, double>> {};

TEST_P(RowsOfDtype, GatherAndItsGradientEqualTheNaiveLoop) {
  const auto [isa, dtype, tolerance] = GetParam();
  const IsaScope scope(isa);
  for (const auto& [group_TK, num_groups] : group_cases()) {
    const auto order = order_rows(group_TK, num_groups);
    const int64_t T = group_TK.size(0), D = group_TK.size(1) == 2 ? 13 : 48;
    const auto x_TD = at::randn({T, D}).to(dtype).set_requires_grad(true);
    const auto y_ND = gather_rows(x_TD, order);
    EXPECT_TRUE(y_ND.detach().equal(x_TD.detach().index_select(0, order.source_N)));

    const auto grad_ND = at::randn_like(y_ND.detach());
    y_ND.backward(grad_ND);
    EXPECT_TENSOR_NEAR(x_TD.grad(), naive_sum_slots(grad_ND, order.position_TK), tolerance);
  }
}

TEST_P(RowsOfDtype, CombineAndItsGradientEqualTheNaiveLoop) {
  const auto [isa, dtype, tolerance] = GetParam();
  const IsaScope scope(isa);
  for (const int64_t D : {1, 13, 32}) {
    for (const auto& [group_TK, num_groups] : group_cases()) {
      const auto order = order_rows(group_TK, num_groups);
      const auto y_ND = at::randn({order.num_rows(), D}).to(dtype).set_requires_grad(true);
      const auto grad_out_TD = at::randn({group_TK.size(0), D}).to(dtype);
      const auto out_TD = combine_rows(y_ND, order);
      out_TD.backward(grad_out_TD);

      EXPECT_EQ(out_TD.scalar_type(), dtype);
      EXPECT_TENSOR_NEAR(out_TD, naive_sum_slots(y_ND, order.position_TK), tolerance);
      EXPECT_TRUE(y_ND.grad().equal(grad_out_TD.index_select(0, order.source_N)));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, RowsOfDtype,
                         testing::ValuesIn(on_every_isa({{at::kFloat, 1e-6}, {at::kBFloat16, 5e-3}})));
INSTANTIATE_TEST_SUITE_P(Plain, RowsOfDtype, testing::Values(std::tuple{kernel_isa(), at::kDouble, 1e-14}));

TEST(GatherSlots, EveryRowGetsTheValueOfItsSlotAndEverySlotTheGradientOfItsRow) {
  for (const auto& [group_TK, num_groups] : group_cases()) {
    const auto order = order_rows(group_TK, num_groups);
    const auto value_TK = at::rand(group_TK.sizes()).set_requires_grad(true);
    const auto value_N = gather_slots(value_TK, order);
    const auto grad_N = at::randn({order.num_rows()});
    value_N.backward(grad_N);
    for (int64_t slot = 0; slot < group_TK.numel(); ++slot) {
      const auto n = order.position_TK.flatten()[slot].item<int64_t>();
      const auto grad = value_TK.grad().flatten()[slot].item<float>();
      if (n < 0) {
        EXPECT_EQ(grad, 0);
        continue;
      }
      EXPECT_EQ(value_N[n].item<float>(), value_TK.flatten()[slot].item<float>());
      EXPECT_EQ(grad, grad_N[n].item<float>());
    }
  }
}

TEST(CombineRows, IsTheSameForAnyNumberOfThreads) {
  const auto order = order_rows(at::randint(0, 8, {300, 6}, at::kLong), 8);
  const auto y_ND = at::randn({1800, 24});
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto alone = combine_rows(y_ND, order);
  at::set_num_threads(3);
  EXPECT_TRUE(combine_rows(y_ND, order).equal(alone));
  at::set_num_threads(threads);
}

}  // namespace
}  // namespace granule
