// Adapters of a model whose experts and sequences are spread over ranks, against the same on one rank alone.

#include "model/lora.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "model/transformer.h"
#include "optim/optimizer.h"
#include "tests/multi_rank/rank_groups.h"
#include "tests/support/small_batch.h"
#include "tests/support/small_model.h"
#include "train/step.h"

namespace granule {
namespace {

struct Variant {
  double dropout = 0;
  bool recompute = false;
  std::vector<std::string> targets = kLoraTargets;
  int64_t micro_batch = 2;
};

TrainingTrace train(const RankGroups& ranks, const Variant& variant) {
  Transformer model(small_config(), *ranks.expert, at::kFloat);
  model.initialize(17);
  model.adapt({.rank = 3, .alpha = 6, .dropout = variant.dropout, .target_modules = variant.targets}, 17);
  model.initialize(17);
  auto& replica = *ranks.replica;
  Optimizer optimizer(trained_parameters(model.placed_parameters()), {replica, replica, *ranks.data}, {});
  const int64_t rows = kSmallRows / replica.size();
  TrainStep step(model, optimizer, replica, std::min(rows, variant.micro_batch), variant.recompute);
  TrainingTrace trace;
  for (int64_t s = 0; s < 3; ++s) {
    const auto outcome = step.run(small_batch(s, replica.rank() * rows, rows, /*with_padding=*/true), 1e-2);
    EXPECT_TRUE(outcome.applied);
    trace.losses.push_back(outcome.loss);
    trace.norms.push_back(outcome.gradient_norm);
  }
  trace.parameters = pieces_of(model);
  return trace;
}

void compare_all_layouts(const Variant& variant) {
  const auto expected = train(groups_of_one(), variant);
  for_every_layout([&](const RankGroups& ranks) { expect_same_training(train(ranks, variant), expected); });
}

TEST(LoraLayout, EveryLayoutTrainsTheSameAdapters) {
  compare_all_layouts({});
  compare_all_layouts({.recompute = true});
}

TEST(LoraLayout, DropoutDoesNotDependOnTheLayoutWhereRowsDoNotTravel) {
  compare_all_layouts({.dropout = 0.2, .targets = {"q_proj", "k_proj", "v_proj", "o_proj"}});
}

TEST(LoraLayout, RecomputationDropsTheSameInputsAlsoOfExperts) {
  const auto ranks = groups_of(1, multi_rank_world().size());
  expect_same_training(train(ranks, {.dropout = 0.2, .recompute = true}), train(ranks, {.dropout = 0.2}));
}

TEST(LoraLayout, TheSameRunTwiceIsTheSameBitByBit) {
  const auto ranks = groups_of(1, multi_rank_world().size());
  const auto first = train(ranks, {.dropout = 0.2}), second = train(ranks, {.dropout = 0.2});
  EXPECT_EQ(first.losses, second.losses);
  for (const auto& [name, values] : first.parameters)
    EXPECT_TRUE(values.equal(second.parameters.at(name))) << name;
}

}  // namespace
}  // namespace granule
