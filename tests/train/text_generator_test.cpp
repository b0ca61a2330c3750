#include "train/text_generator.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "comm/loopback_communicator.h"
#include "tests/support/naive_generation.h"
#include "tests/support/small_model.h"

namespace granule {
namespace {

class TextGeneratorTest : public testing::Test {
 protected:
  TextGeneratorTest() : model_(small_config(), alone(), at::kFloat) { model_.initialize(3); }

  std::vector<int64_t> run(TextGenerator& generator, const std::vector<int64_t>& prompt,
                           const std::vector<int64_t>& stop_ids = {}, size_t told_to_stop = 1000) {
    std::vector<int64_t> ids;
    generator.generate(prompt, greedy_, stop_ids, [&](int64_t id) {
      ids.push_back(id);
      return ids.size() < told_to_stop;
    });
    return ids;
  }

  Transformer model_;
  SamplingConfig greedy_{.temperature = 0, .max_tokens = 6};
};

TEST_F(TextGeneratorTest, WritesWhatTheWholeForwardPassFindsLikeliest) {
  TextGenerator generator(model_, alone(), 20);
  EXPECT_EQ(run(generator, {1, 2}), naive_continuation(model_, {1, 2}, 6));
}

TEST_F(TextGeneratorTest, GoesOnFromATextThatSharesAPartWithTheOneBefore) {
  TextGenerator generator(model_, alone(), 30);
  auto prompt = std::vector<int64_t>{4, 5, 6, 7};
  const auto first = run(generator, prompt);
  EXPECT_EQ(run(generator, prompt), first);
  // Longer, as in a dialogue; then another beginning; then a part of what was there.
  prompt.insert(prompt.end(), first.begin(), first.end());
  prompt.push_back(9);
  EXPECT_EQ(run(generator, prompt), naive_continuation(model_, prompt, 6));
  EXPECT_EQ(run(generator, {4, 5, 1}), naive_continuation(model_, {4, 5, 1}, 6));
  EXPECT_EQ(run(generator, {4, 5}), naive_continuation(model_, {4, 5}, 6));
  EXPECT_EQ(run(generator, {8}), naive_continuation(model_, {8}, 6));
}

TEST_F(TextGeneratorTest, StopsAtTheLimitTheCapacityTheStopTokensAndWhenTold) {
  TextGenerator generator(model_, alone(), 20);
  const auto all = run(generator, {1, 2});
  ASSERT_EQ(all.size(), 6u);
  const auto until_stop = run(generator, {1, 2}, {31, all[2]});
  EXPECT_LE(until_stop.size(), 2u);
  EXPECT_TRUE(std::equal(until_stop.begin(), until_stop.end(), all.begin()));
  EXPECT_EQ(run(generator, {1, 2}, {}, 3).size(), 3u);
  TextGenerator small(model_, alone(), 5);
  EXPECT_EQ(run(small, {1, 2}).size(), 3u);
  EXPECT_TRUE(run(small, {1, 2, 3, 4, 5}).empty());
  EXPECT_THROW(run(small, {1, 2, 3, 4, 5, 6}), std::logic_error);
}

TEST_F(TextGeneratorTest, RankZeroAloneHearsAndStops) {
  TextGenerator one(model_, alone(), 20);
  const auto expected = run(one, {1, 2}, {}, 4);
  run_loopback(2, [&](Communicator& ranks) {
    Transformer model(small_config(), ranks, at::kFloat);
    model.initialize(3);
    TextGenerator generator(model, ranks, 20);
    for (int turn = 0; turn < 2; ++turn) {
      const auto ids = run(generator, {1, 2}, {}, 4);
      EXPECT_EQ(ids, ranks.rank() == 0 ? expected : std::vector<int64_t>{});
    }
  });
}

}  // namespace
}  // namespace granule
