#include "model/dispatcher.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "comm/loopback_communicator.h"
#include "tests/support/small_model.h"
#include "tests/support/tensor_compare.h"

namespace granule {
namespace {

constexpr int64_t kExperts = 8, kWidth = 4;

// An "expert" that anyone can check: expert e multiplies its rows by e + 1, and by their gates.
at::Tensor scale_by_expert(const at::Tensor& x_TD, const RowOrder& order, const at::Tensor& gate_N,
                           int64_t first_expert) {
  std::vector<at::Tensor> rows;
  int64_t begin = 0;
  const auto sorted_ND = gather_rows(x_TD, order);
  for (size_t g = 0; g < order.end_G.size(); ++g) {
    rows.push_back(sorted_ND.narrow(0, begin, order.end_G[g] - begin) * static_cast<double>(first_expert + static_cast<int64_t>(g) + 1));
    begin = order.end_G[g];
  }
  return combine_rows(at::cat(rows) * gate_N.unsqueeze(1), order);
}

struct Sample {
  at::Tensor x_TD, expert_TK, gate_TK;
};

// Each rank has its own tokens; rank 0 has none at all, and slots may be dropped.
Sample sample_of(int rank) {
  const int64_t T = rank * 3;
  Sample sample;
  sample.x_TD = (at::arange(T * kWidth, at::kDouble).view({T, kWidth}) + rank).requires_grad_();
  sample.expert_TK = some_tokens({T, 2}, kExperts, static_cast<uint64_t>(rank));
  if (T > 0) sample.expert_TK[0][1] = -1;
  sample.gate_TK = (at::arange(T * 2, at::kFloat).view({T, 2}) / 4).requires_grad_();
  return sample;
}

void expect_weighted_sums(const Sample& sample, const at::Tensor& y_TD) {
  ASSERT_EQ(y_TD.size(0), sample.x_TD.size(0));
  for (int64_t t = 0; t < y_TD.size(0); ++t) {
    double factor = 0;
    for (int64_t k = 0; k < 2; ++k) {
      const auto expert = sample.expert_TK[t][k].item<int64_t>();
      const double row_sum = expert < 0 ? 0 : sample.x_TD[t].sum().item<double>() * static_cast<double>(expert + 1);
      EXPECT_NEAR(sample.gate_TK.grad()[t][k].item<double>(), row_sum, 1e-6 * row_sum);
      if (expert >= 0) factor += sample.gate_TK[t][k].item<double>() * static_cast<double>(expert + 1);
    }
    EXPECT_TENSOR_NEAR(y_TD[t], sample.x_TD[t] * factor, 1e-12);
    EXPECT_TENSOR_NEAR(sample.x_TD.grad()[t], at::full({kWidth}, factor, at::kDouble), 1e-12);
  }
}

TEST(Dispatcher, TokensComeBackWeighedFromWhateverRankHoldsTheExpert) {
  for (const int ranks : {1, 2, 4}) {
    run_loopback(ranks, [](Communicator& group) {
      const auto sample = sample_of(group.rank());
      const Dispatcher dispatcher(group, kExperts);
      const auto plan = dispatcher.plan(sample.expert_TK);
      const auto x_RD = dispatcher.dispatch(sample.x_TD, plan);
      const auto gate_N = dispatcher.dispatch_gates(sample.gate_TK, plan);
      const auto y_RD = scale_by_expert(x_RD, plan.by_local_expert, gate_N, group.rank() * dispatcher.num_local_experts());
      const auto y_TD = dispatcher.combine(y_RD, plan);
      y_TD.sum().backward();
      expect_weighted_sums(sample, y_TD);
    });
  }
}

TEST(Dispatcher, SplitsExpertsEvenlyInRankOrder) {
  run_loopback(4, [](Communicator& group) {
    const Dispatcher dispatcher(group, kExperts);
    EXPECT_EQ(dispatcher.num_local_experts(), 2);
  });
}

}  // namespace
}  // namespace granule
