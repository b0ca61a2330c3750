// Packed conversations on every layout against the same ones each in a row of its own on one rank: one
// training step gives the same loss, gradients, balance losses and counts.

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "data/chat_source.h"
#include "data/loader.h"
#include "model/transformer.h"
#include "optim/optimizer.h"
#include "tests/multi_rank/rank_groups.h"
#include "tests/support/small_model.h"
#include "train/step.h"

namespace granule {
namespace {

constexpr int64_t kLength = 16, kExamples = 13, kRows = 16;

// From 2 to S + 1 tokens, the shortest and the longest among them.
ChatExamples some_examples() {
  ChatExamples examples;
  for (int64_t i = 0; i < kExamples; ++i) {
    const int64_t length = 2 + i * (kLength - 1) / (kExamples - 1);
    const auto ids = some_tokens({length}, 32, static_cast<uint64_t>(i));
    TemplatedChat chat;
    for (int64_t t = 0; t < length; ++t) {
      chat.ids.push_back(ids[t].item<int64_t>());
      chat.learned.push_back(t == length - 1 || t % 3 == 1);
    }
    examples.add(chat);
  }
  return examples;
}

struct Step {
  StepOutcome outcome;
  std::map<std::string, at::Tensor> parameters;  // pieces this rank holds, after the step
  int64_t num_busy_rows = 0;                     // on this rank
};

using Change = std::function<void(RouterConfig&, BalanceConfig&)>;

Step run_step(const RankGroups& ranks, bool packing, const Change& change, int64_t micro_batch) {
  auto config = small_config();
  config.balance.moe_aux_loss_coeff = 0.05;
  change(config.router, config.balance);
  Transformer model(config, *ranks.expert, at::kFloat);
  model.initialize(17);
  // With such an eps a parameter moves in proportion to its gradient, so that moves compare as gradients do.
  OptimizerConfig settings;
  settings.adam_eps = 1;
  settings.weight_decay = 0;
  Optimizer optimizer(model.placed_parameters(), {*ranks.replica, *ranks.replica, *ranks.data}, settings);
  const int64_t rows = kRows / ranks.replica->size();
  TrainStep train_step(model, optimizer, *ranks.replica, std::min(rows, micro_batch), /*recompute=*/false);

  auto source = std::make_unique<ChatTrainingSource>(PackedChats(some_examples(), kLength, packing), 3, 1);
  Loader loader(std::move(source), kRows);
  EXPECT_EQ(loader.num_steps(), 1);
  const auto batch = loader.load(0, ranks.replica->rank() * rows, rows);

  Step step;
  step.num_busy_rows = batch.loss_mask_BS.any(1).sum().item<int64_t>();
  step.outcome = train_step.run(batch, 1.0);
  EXPECT_TRUE(step.outcome.applied);
  step.parameters = pieces_of(model);
  return step;
}

void expect_same(const Step& packed, const Step& alone) {
  EXPECT_EQ(packed.outcome.num_tokens, alone.outcome.num_tokens);
  EXPECT_NEAR(packed.outcome.loss / alone.outcome.loss, 1, 1e-5);
  EXPECT_NEAR(packed.outcome.gradient_norm / alone.outcome.gradient_norm, 1, 1e-4);
  ASSERT_EQ(packed.outcome.routing.size(), alone.outcome.routing.size());
  for (size_t i = 0; i < alone.outcome.routing.size(); ++i) {
    const auto& layer = packed.outcome.routing[i];
    const auto& expected = alone.outcome.routing[i];
    EXPECT_TRUE(layer.count_E().equal(expected.count_E())) << "layer " << i;
    EXPECT_TRUE(layer.chosen_E().equal(expected.chosen_E())) << "layer " << i;
    EXPECT_EQ(layer.num_tokens(), expected.num_tokens()) << "layer " << i;
    EXPECT_NEAR(layer.balance().expert, expected.balance().expert, 1e-4) << "layer " << i;
    EXPECT_NEAR(layer.balance().z, expected.balance().z, 1e-4) << "layer " << i;
  }
  for (const auto& [name, values] : packed.parameters) {
    EXPECT_LT((values - alone.parameters.at(name)).abs().max().item<double>(), 1e-5) << name;
  }
}

void compare_packed_and_alone(const Change& change, int64_t micro_batch = 2) {
  const auto alone = run_step(groups_of_one(), false, change, micro_batch);
  EXPECT_EQ(alone.num_busy_rows, kExamples);
  for_every_layout([&](const RankGroups& ranks) {
    const auto packed = run_step(ranks, true, change, micro_batch);
    EXPECT_LE(ranks.replica->all_reduce_sum(packed.num_busy_rows), kExamples / 2 + 1);
    expect_same(packed, alone);
  });
}

TEST(Packing, LearnsAsEachConversationAlone) {
  compare_packed_and_alone([](auto&, auto&) {});
}

TEST(Packing, AlsoWithRouterLossAndLossOverTheGlobalBatch) {
  const auto change = [](auto&, auto& balance) {
    balance.moe_z_loss_coeff = 0.01;
    balance.moe_router_load_balancing_type = "global_aux_loss";
  };
  compare_packed_and_alone(change, /*micro_batch=*/kRows);
}

TEST(Packing, AlsoWithCapacityWhichIsCountedByConversation) {
  compare_packed_and_alone([](auto& router, auto&) {
    router.num_experts_per_tok = 2;
    router.moe_expert_capacity_factor = 1.0;
  });
}

}  // namespace
}  // namespace granule
