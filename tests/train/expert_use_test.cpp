#include "train/expert_use.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "data/open_sources.h"
#include "model/router.h"
#include "tests/support/small_model.h"
#include "tests/support/tensor_compare.h"
#include "tests/support/token_files.h"

namespace granule {
namespace {

class ExpertUseTest : public testing::Test {
 protected:
  ExpertUseTest() : config_(small_config()), model_(config_, alone(), at::kFloat) {
    fill_from_seed(model_, 9);
    data_.valid = {directory_.write_tokens("valid", random_documents(12, 9, config_.vocab_size))};
  }

  Loader loader(int64_t batch) {
    return Loader(open_validation_source(data_, kLength, config_.vocab_size), batch);
  }

  static constexpr int64_t kLength = 7;
  DataDirectory directory_;
  DataConfig data_;
  ModelConfig config_;
  Transformer model_;
};

// Token by token and choice by choice, one sequence at a time; the last one ends in padding.
TEST_F(ExpertUseTest, EqualsALoopOverTokensAndChoices) {
  auto rows = loader(1);
  const int64_t E = config_.router.n_routed_experts;
  std::vector<ExpertUse> expected(2);
  for (auto& use : expected) {
    use = {0, at::zeros({E}, at::kLong), at::zeros({E, E}, at::kLong), at::zeros({E}, at::kDouble),
           at::zeros({E}, at::kDouble)};
  }
  const at::NoGradGuard no_grad;
  bool some_padding = false;
  for (int64_t step = 0; step < rows.num_steps(); ++step) {
    const auto batch = rows.load(step, 0, 1);
    std::vector<Routing> routings;
    ForwardContext context{SequenceLayout::from_segments(batch.segment_BS)};
    context.routings = &routings;
    model_.forward(batch.token_BS, context);
    for (size_t layer = 0; layer < 2; ++layer) {
      auto& use = expected[layer];
      for (int64_t t = 0; t < kLength; ++t) {
        some_padding |= batch.segment_BS[0][t].item<int64_t>() < 0;
        if (batch.segment_BS[0][t].item<int64_t>() < 0) continue;
        ++use.num_tokens;
        use.probability_E += routings[layer].probability_TE[t].to(at::kDouble);
        for (int64_t k = 0; k < 3; ++k) {
          const auto e = routings[layer].chosen_TK[t][k].item<int64_t>();
          use.count_E[e] += 1;
          use.gate_E[e] += routings[layer].gate_TK[t][k].item<double>();
          for (int64_t j = 0; j < 3; ++j)
            use.pair_EE[e][routings[layer].chosen_TK[t][j].item<int64_t>()] += 1;
        }
      }
    }
  }
  ASSERT_TRUE(some_padding);

  auto batches = loader(4);
  const auto actual = expert_use(model_, alone(), batches);
  ASSERT_EQ(actual.size(), 2u);
  for (size_t layer = 0; layer < 2; ++layer) {
    auto& twin = expected[layer];
    EXPECT_EQ(actual[layer].num_tokens, twin.num_tokens);
    EXPECT_TRUE(actual[layer].count_E.equal(twin.count_E));
    EXPECT_TRUE(actual[layer].pair_EE.equal(twin.pair_EE));
    EXPECT_TENSOR_NEAR(actual[layer].probability_E, twin.probability_E / twin.num_tokens, 1e-6);
    EXPECT_TENSOR_NEAR(actual[layer].gate_E, twin.gate_E / twin.count_E.clamp_min(1), 1e-6);
    EXPECT_EQ(actual[layer].count_E.sum().item<int64_t>(), 3 * twin.num_tokens);
  }
}

}  // namespace
}  // namespace granule
