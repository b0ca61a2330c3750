// The first law: N ranks are 1 rank. Five optimizer steps of a small MoE model on every (data, expert) layout
// of the world against the same steps on one rank alone.

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>

#include "model/transformer.h"
#include "optim/optimizer.h"
#include "tests/multi_rank/rank_groups.h"
#include "tests/multi_rank/shared_directory.h"
#include "tests/support/small_batch.h"
#include "tests/support/small_model.h"
#include "train/checkpoint_restore.h"
#include "train/checkpoint_writer.h"
#include "train/step.h"

namespace granule {
namespace {

constexpr int64_t kRows = kSmallRows, kSteps = 5;

struct Trace : TrainingTrace {
  std::vector<double> balance;     // four values of each step and layer
  std::vector<at::Tensor> counts;  // of each step and layer
};

struct Variant {
  std::function<void(RouterConfig&, BalanceConfig&)> change = [](auto&, auto&) {};
  bool recompute = false;
  bool with_padding = false;
  bool one_expert_gets_all = false;
  int64_t micro_batch = 2;
};

// DeepSeek-V3's router with every loss.
void everything(RouterConfig& router, BalanceConfig& balance) {
  as_v3(router);
  router.moe_router_bias_update_rate = 0.01;
  balance.n_device_groups = 2;
  balance.moe_device_aux_loss_coeff = 0.05;
  balance.moe_comm_aux_loss_coeff = 0.05;
  balance.moe_z_loss_coeff = 0.01;
}

void over_global_batch(RouterConfig& router, BalanceConfig& balance) {
  everything(router, balance);
  balance.moe_router_load_balancing_type = "global_aux_loss";
}

void hash_with_capacity(RouterConfig& router, BalanceConfig& balance) {
  router.moe_router_type = "hash";
  router.num_experts_per_tok = 1;
  router.moe_expert_capacity_factor = 1.0;
  balance.moe_aux_loss_coeff = 0;
}

void gshard_with_capacity(RouterConfig& router, BalanceConfig&) {
  router.num_experts_per_tok = 2;
  router.norm_topk_prob = true;
  router.moe_expert_capacity_factor = 1.0;
}

ModelConfig config_of(const Variant& variant) {
  auto config = small_config();
  config.balance.moe_aux_loss_coeff = 0.05;
  variant.change(config.router, config.balance);
  config.check();
  return config;
}

OptimizerConfig clipped() {
  OptimizerConfig settings;
  settings.clip_grad = 0.5;
  return settings;
}

// A model in training on `ranks`.
struct TrainingRun {
  TrainingRun(const RankGroups& given_ranks, const Variant& given_variant, uint64_t seed = 17)
      : variant(given_variant),
        replica(*given_ranks.replica),
        model(made(given_ranks, given_variant, seed)),
        optimizer(model->placed_parameters(), {*given_ranks.replica, *given_ranks.replica, *given_ranks.data},
                  clipped()),
        rows(kRows / replica.size()),
        train_step(*model, optimizer, replica, std::min(rows, variant.micro_batch), variant.recompute) {}

  static std::unique_ptr<Transformer> made(const RankGroups& ranks, const Variant& variant, uint64_t seed) {
    auto model = std::make_unique<Transformer>(config_of(variant), *ranks.expert, at::kFloat);
    model->initialize(seed);
    if (variant.one_expert_gets_all) {
      at::NoGradGuard no_grad;
      for (auto& item : model->named_parameters()) {
        if (item.key().ends_with("mlp.gate.weight")) item.value().zero_();
      }
    }
    return model;
  }

  StepOutcome step(int64_t number) {
    const auto outcome =
        train_step.run(small_batch(number, replica.rank() * rows, rows, variant.with_padding), 1e-2);
    EXPECT_TRUE(outcome.applied);
    return outcome;
  }

  const Variant variant;
  Communicator& replica;
  std::unique_ptr<Transformer> model;
  Optimizer optimizer;
  int64_t rows;
  TrainStep train_step;
};

Trace train(const RankGroups& ranks, const Variant& variant) {
  TrainingRun run(ranks, variant);
  Trace trace;
  for (int64_t s = 0; s < kSteps; ++s) {
    const auto outcome = run.step(s);
    trace.losses.push_back(outcome.loss);
    trace.norms.push_back(outcome.gradient_norm);
    for (const auto& layer : outcome.routing) {
      const auto balance = layer.balance();
      for (const double value : {balance.expert, balance.device, balance.communication, balance.z}) {
        trace.balance.push_back(value);
      }
      trace.counts.push_back(layer.count_E());
      trace.counts.push_back(layer.chosen_E());
    }
  }
  trace.parameters = pieces_of(*run.model);
  return trace;
}

void expect_same(const Trace& actual, const Trace& expected) {
  expect_same_training(actual, expected);
  ASSERT_EQ(actual.counts.size(), expected.counts.size());
  for (size_t i = 0; i < expected.counts.size(); ++i) {
    EXPECT_TRUE(actual.counts[i].equal(expected.counts[i])) << "step and layer " << i;
  }
  for (size_t i = 0; i < expected.balance.size(); ++i) {
    EXPECT_NEAR(actual.balance[i], expected.balance[i], 1e-4) << "step and layer and loss " << i;
  }
}

void compare_all_layouts(const Variant& variant) {
  const auto expected = train(groups_of_one(), variant);
  for_every_layout([&](const RankGroups& ranks) { expect_same(train(ranks, variant), expected); });
}

TEST(Layout, EveryDataAndExpertLayoutTrainsAsOneRank) {
  compare_all_layouts({});
}

TEST(Layout, AlsoWithRecomputation) {
  compare_all_layouts({.recompute = true});
}

TEST(Layout, AlsoWithPaddingAndDocumentsApart) {
  compare_all_layouts({.with_padding = true});
}

TEST(Layout, AlsoWhenAllTokensChooseTheFirstExperts) {
  compare_all_layouts({.one_expert_gets_all = true});
}

TEST(Layout, AlsoWithBiasGroupsAndEveryLossBySequence) {
  compare_all_layouts({.change = everything});
}

TEST(Layout, AlsoThoseWithRecomputationAndPadding) {
  compare_all_layouts({.change = everything, .recompute = true, .with_padding = true});
}

TEST(Layout, AlsoWithTheGlobalBatchLossAndOneMicroBatchAStep) {
  for (const bool recompute : {false, true}) {
    compare_all_layouts(
        {.change = over_global_batch, .recompute = recompute, .with_padding = true, .micro_batch = kRows});
  }
}

TEST(Layout, RecomputationReplaysTheGlobalBatchCountsOfEachMicroBatch) {
  const auto ranks = groups_of(1, multi_rank_world().size());
  const auto expected = train(ranks, {.change = over_global_batch, .micro_batch = 1});
  const auto replayed = train(ranks, {.change = over_global_batch, .recompute = true, .micro_batch = 1});
  EXPECT_EQ(replayed.losses, expected.losses);
  EXPECT_EQ(replayed.norms, expected.norms);
}

TEST(Layout, AlsoWithAHashRouterAndCapacity) {
  compare_all_layouts({.change = hash_with_capacity});
  compare_all_layouts({.change = hash_with_capacity, .recompute = true, .with_padding = true});
}

TEST(Layout, AlsoWithGShardsCapacity) {
  compare_all_layouts({.change = gshard_with_capacity, .with_padding = true});
}

TEST(Layout, MicroBatchSizeDoesNotMatter) {
  for (const auto& change : std::vector<std::function<void(RouterConfig&, BalanceConfig&)>>{
           [](auto&, auto&) {}, everything, hash_with_capacity, gshard_with_capacity}) {
    const auto expected = train(groups_of_one(), {.change = change, .with_padding = true, .micro_batch = 8});
    expect_same(train(groups_of_one(), {.change = change, .with_padding = true, .micro_batch = 1}), expected);
    expect_same(train(groups_of_one(), {.change = change, .with_padding = true, .micro_batch = 4}), expected);
  }
}

// With zero logits all probabilities are even, so whatever is chosen the losses have their even values,
// exactly if no padding and no rank counts wrong.
TEST(Layout, EvenProbabilitiesGiveEvenLossesWhateverTheScopeAndTheLayout) {
  for (const char* type : {"seq_aux_loss", "aux_loss", "global_aux_loss"}) {
    const auto change = [=](RouterConfig&, BalanceConfig& balance) {
      balance = {.moe_router_load_balancing_type = type,
                 .moe_aux_loss_coeff = 0.01,
                 .n_device_groups = 2,
                 .moe_device_aux_loss_coeff = 0.01,
                 .moe_z_loss_coeff = 0.01};
    };
    const Variant variant{.change = change, .with_padding = true, .one_expert_gets_all = true};
    const auto balance = train(groups_of(1, multi_rank_world().size()), variant).balance;
    EXPECT_NEAR(balance[0], 1.0, 1e-5) << type;
    EXPECT_NEAR(balance[1], 1.0, 1e-5) << type;
    EXPECT_NEAR(balance[3], std::pow(std::log(8.0), 2), 1e-5) << type;
  }
}

// The exception: the loss of a micro-batch is that of those rows, by definition.
TEST(Layout, TheMicroBatchLossDependsOnTheMicroBatchAndTheGlobalOneSeesMore) {
  const auto with = [](const char* type) {
    return [=](auto&, BalanceConfig& balance) { balance.moe_router_load_balancing_type = type; };
  };
  const auto first_balance = [&](const char* type, int64_t micro_batch) {
    return train(groups_of_one(), {.change = with(type), .micro_batch = micro_batch}).balance[0];
  };
  EXPECT_NEAR(first_balance("aux_loss", kRows), first_balance("global_aux_loss", kRows), 1e-6);
  EXPECT_GT(std::abs(first_balance("aux_loss", 1) - first_balance("aux_loss", kRows)), 1e-3);
  EXPECT_NEAR(first_balance("aux_loss", 1), first_balance("seq_aux_loss", kRows),
              1e-6);  // rows are of one length
  const double whole = first_balance("global_aux_loss", kRows);
  EXPECT_LT(std::abs(first_balance("global_aux_loss", 1) - whole),
            std::abs(first_balance("aux_loss", 1) - whole));
}

TEST(Layout, SelectionBiasMovesAfterEachStepAndIsTheSameOnAllRanks) {
  const auto trace = train(groups_of(1, multi_rank_world().size()), {.change = everything});
  const std::string name = "model.layers.1.mlp.gate.e_score_correction_bias";
  const auto bias_E = trace.parameters.at(name);
  // By the first layer's counts of each step.
  auto expected_E = at::zeros({8});
  const size_t layers = trace.counts.size() / kSteps / 2;
  for (size_t step = 0; step < kSteps; ++step) {
    const auto chosen_E = trace.counts[step * layers * 2 + 1].to(at::kFloat);
    expected_E += at::sign(chosen_E.mean() - chosen_E) * 0.01;
  }
  EXPECT_LT((bias_E - expected_E).abs().max().item<double>(), 1e-6);
  EXPECT_GT(bias_E.abs().max().item<double>(), 0);
}

TEST(Layout, BiasAndHashTableSurviveResumeAndRelayoutBitByBit) {
  auto& world = multi_rank_world();
  const int size = world.size();
  for (const auto& change : {std::function<void(RouterConfig&, BalanceConfig&)>(everything),
                             std::function<void(RouterConfig&, BalanceConfig&)>(hash_with_capacity)}) {
    const SharedDirectory directory(world.all());
    const Variant variant{.change = change};
    const RankGroups ranks = groups_of(1, size);
    TrainingRun run(ranks, variant);
    run.step(0);
    run.step(1);
    CheckpointWriter({.directory = directory.path("checkpoints"), .layout = {1, 1, size}}, world.all())
        .save({.step = 2}, run.optimizer);

    const auto restored = [&](const RankGroups& others) {
      auto again = std::make_unique<TrainingRun>(others, variant, /*seed=*/99);
      const auto checkpoint = open_newest_checkpoint(directory.path("checkpoints"), world.all(), {});
      restore_optimizer(checkpoint.value(), again->optimizer, world.all());
      return again;
    };
    const RankGroups data_ranks = groups_of(size, 1);
    const auto same = restored(ranks), relaid = restored(data_ranks);
    const auto expected = pieces_of(*run.model), other = pieces_of(*relaid->model);
    for (const auto& [name, values] : expected) EXPECT_TRUE(values.equal(other.at(name))) << name;

    run.step(2);
    same->step(2);
    for (const auto& [name, values] : pieces_of(*run.model))
      EXPECT_TRUE(values.equal(pieces_of(*same->model).at(name))) << name;
  }
}

TEST(Layout, TheSameRunTwiceIsTheSameBitByBit) {
  const int size = multi_rank_world().size();
  const auto first = train(groups_of(1, size), {});
  const auto second = train(groups_of(1, size), {});
  EXPECT_EQ(first.losses, second.losses);
  EXPECT_EQ(first.norms, second.norms);
  for (const auto& [name, values] : first.parameters)
    EXPECT_TRUE(values.equal(second.parameters.at(name))) << name;
}

}  // namespace
}  // namespace granule
