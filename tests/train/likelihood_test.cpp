#include "train/likelihood.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "comm/loopback_communicator.h"
#include "tests/support/evaluation_files.h"
#include "tests/support/naive_generation.h"
#include "tests/support/small_model.h"

namespace granule {
namespace {

std::vector<int64_t> ids(int64_t count, uint64_t seed) {
  const auto token_N = some_tokens({count}, 32, seed);
  return {token_N.data_ptr<int64_t>(), token_N.data_ptr<int64_t>() + count};
}

// Lengths of all kinds, two requests that read the same, one longer than the model reads.
std::vector<LikelihoodRequest> some_requests() {
  std::vector<LikelihoodRequest> requests;
  for (uint64_t i = 0; i < 9; ++i) {
    requests.push_back(
        {ids(1 + static_cast<int64_t>(i * i % 7), i), ids(1 + static_cast<int64_t>(i % 4), 50 + i)});
  }
  requests.push_back({{1, 2, 3}, {4}});
  requests.push_back({{1, 2, 3}, {5}});
  requests.push_back({ids(30, 90), ids(6, 91)});
  return requests;
}

// A model whose first token of some continuations is its own choice, so that greedy is not always false.
std::vector<LikelihoodRequest> with_greedy_ones(const Transformer& model,
                                                std::vector<LikelihoodRequest> requests) {
  for (size_t i = 0; i < requests.size(); i += 2) {
    requests[i].continuation = naive_continuation(model, requests[i].context, 1);
  }
  return requests;
}

class LikelihoodTest : public testing::Test {
 protected:
  LikelihoodTest() : model_(small_config(), alone(), at::kFloat) { model_.initialize(5); }

  Transformer model_;
};

TEST_F(LikelihoodTest, IsThatOfEachRequestAlone) {
  const auto requests = with_greedy_ones(model_, some_requests());
  for (const int64_t batch_size : {1, 3, 50}) {
    const auto answers = score(model_, alone(), requests, {.max_length = 16, .batch_size = batch_size});
    ASSERT_EQ(answers.size(), requests.size());
    int num_greedy = 0;
    for (size_t i = 0; i < requests.size(); ++i) {
      const auto expected = naive_likelihood(model_, requests[i], 16);
      EXPECT_NEAR(answers[i].log_probability, expected.log_probability, 1e-4) << i;
      EXPECT_EQ(answers[i].greedy, expected.greedy) << i;
      num_greedy += answers[i].greedy;
    }
    EXPECT_GE(num_greedy, 5);
    EXPECT_LT(num_greedy, static_cast<int>(requests.size()));
  }
}

TEST_F(LikelihoodTest, DoesNotDependOnTheNumberOfRanks) {
  const auto requests = some_requests();
  const ScoringLimits limits{.max_length = 16, .batch_size = 2};
  const auto alone_answers = score(model_, alone(), requests, limits);
  for (const int num_ranks : {2, 3, 5, 16}) {
    run_loopback(num_ranks, [&](Communicator& ranks) {
      const auto answers = score(model_, ranks, requests, limits);
      for (size_t i = 0; i < requests.size(); ++i) {
        EXPECT_EQ(answers[i].log_probability, alone_answers[i].log_probability) << i << " of " << num_ranks;
        EXPECT_EQ(answers[i].greedy, alone_answers[i].greedy);
      }
    });
  }
}

TEST_F(LikelihoodTest, DoesNotDependOnWhereTheExpertsAre) {
  const auto requests = some_requests();
  const ScoringLimits limits{.max_length = 16, .batch_size = 5};
  const auto alone_answers = score(model_, alone(), requests, limits);
  run_loopback(4, [&](Communicator& ranks) {
    Transformer model(small_config(), ranks, at::kFloat);
    model.initialize(5);
    const auto answers = score(model, ranks, requests, limits);
    for (size_t i = 0; i < requests.size(); ++i) {
      EXPECT_NEAR(answers[i].log_probability, alone_answers[i].log_probability, 1e-4) << i;
    }
  });
}

TEST_F(LikelihoodTest, OfNoRequestsIsNothing) {
  EXPECT_TRUE(score(model_, alone(), {}, {.max_length = 16, .batch_size = 5}).empty());
}

}  // namespace
}  // namespace granule
