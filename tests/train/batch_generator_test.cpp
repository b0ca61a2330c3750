#include "train/batch_generator.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "comm/loopback_communicator.h"
#include "tests/support/naive_generation.h"
#include "tests/support/small_model.h"

namespace granule {
namespace {

std::vector<std::vector<int64_t>> some_prompts() {
  std::vector<std::vector<int64_t>> prompts;
  for (const int64_t length : {3, 1, 9, 4, 4, 12, 2}) {
    const auto token_N = some_tokens({length}, 32, static_cast<uint64_t>(length + 10 * prompts.size()));
    prompts.emplace_back(token_N.data_ptr<int64_t>(), token_N.data_ptr<int64_t>() + length);
  }
  return prompts;
}

class BatchGeneratorTest : public testing::Test {
 protected:
  BatchGeneratorTest() : model_(small_config(), alone(), at::kFloat) { model_.initialize(3); }

  Transformer model_;
  std::vector<std::vector<int64_t>> prompts_ = some_prompts();
  BatchGeneration greedy_{.sampling = {.temperature = 0, .max_tokens = 7}, .batch_size = 3};
};

TEST_F(BatchGeneratorTest, WritesEachTextAsIfAlone) {
  for (const int64_t batch_size : {1, 3, 20}) {
    greedy_.batch_size = batch_size;
    const auto answers = generate_all(model_, alone(), prompts_, greedy_);
    ASSERT_EQ(answers.size(), prompts_.size());
    for (size_t i = 0; i < prompts_.size(); ++i) {
      EXPECT_EQ(answers[i], naive_continuation(model_, prompts_[i], 7)) << i << ", batches of " << batch_size;
    }
  }
}

// Rows end at different times, so that others take their places.
TEST_F(BatchGeneratorTest, EndsEachTextAtItsStopTokenOrWhenTold) {
  greedy_.stop_ids = {naive_continuation(model_, prompts_[2], 7)[1],
                      naive_continuation(model_, prompts_[5], 7)[3]};
  greedy_.goes_on = [](size_t text, const std::vector<int64_t>& answer) { return answer.size() < 2 + text; };
  const auto answers = generate_all(model_, alone(), prompts_, greedy_);
  size_t num_stopped = 0;
  for (size_t i = 0; i < prompts_.size(); ++i) {
    auto expected = naive_continuation(model_, prompts_[i], 7);
    const auto stop = std::find_first_of(expected.begin(), expected.end(), greedy_.stop_ids.begin(),
                                         greedy_.stop_ids.end());
    num_stopped += stop != expected.end();
    expected.erase(stop, expected.end());
    if (expected.size() > 2 + i) expected.resize(2 + i);
    EXPECT_EQ(answers[i], expected) << i;
  }
  EXPECT_GE(num_stopped, 2u);
}

TEST_F(BatchGeneratorTest, DoesNotDependOnTheNumberOfRanks) {
  greedy_.sampling.temperature = 1;
  const auto expected = generate_all(model_, alone(), prompts_, greedy_);
  EXPECT_NE(expected[3], naive_continuation(model_, prompts_[3], 7));
  for (const int num_ranks : {2, 3, 8}) {
    run_loopback(num_ranks, [&](Communicator& ranks) {
      EXPECT_EQ(generate_all(model_, ranks, prompts_, greedy_), expected) << num_ranks;
    });
  }
  run_loopback(4, [&](Communicator& ranks) {
    Transformer model(small_config(), ranks, at::kFloat);
    model.initialize(3);
    EXPECT_EQ(generate_all(model, ranks, prompts_, greedy_), expected) << "experts on four ranks";
  });
}

TEST_F(BatchGeneratorTest, NothingToWriteIsWritten) {
  greedy_.sampling.max_tokens = 0;
  EXPECT_EQ(generate_all(model_, alone(), prompts_, greedy_), std::vector<std::vector<int64_t>>(7));
  greedy_.sampling.max_tokens = 3;
  EXPECT_TRUE(generate_all(model_, alone(), {}, greedy_).empty());
}

}  // namespace
}  // namespace granule
