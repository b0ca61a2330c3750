// The first law: N ranks are 1 rank. Five optimizer steps of a small MoE model on every (data, expert) layout of the
// world against the same steps on one rank alone.

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <map>

#include "model/transformer.h"
#include "optim/optimizer.h"
#include "tests/multi_rank/multi_rank.h"
#include "tests/support/small_model.h"
#include "train/step.h"

namespace granule {
namespace {

constexpr int64_t kRows = 8, kLength = 6, kSteps = 5;

struct Trace {
  std::vector<double> losses, norms, balance;
  std::vector<at::Tensor> counts;               // of each step and layer
  std::map<std::string, at::Tensor> parameters;  // pieces this rank holds, after the last step
};

struct Ranks {
  std::unique_ptr<Communicator> expert, data, replica;
};

Ranks ranks_of(int data, int expert) {
  auto& world = multi_rank_world();
  ParallelConfig config;
  config.expert = expert;
  config.data = data;
  const auto groups = mesh_groups(config, data * expert, world.rank());
  return {world.group("expert", groups.expert), world.group("data", groups.data),
          world.group("replica", groups.replica)};
}

Ranks one_rank() {
  auto& world = multi_rank_world();
  const std::vector<int> me{world.rank()};
  return {world.group("expert", me), world.group("data", me), world.group("replica", me)};
}

Batch batch_of(int64_t step, int64_t first, int64_t count, bool with_padding) {
  const auto token_BS = some_tokens({kRows, kLength + 1}, 32, static_cast<uint64_t>(100 + step));
  auto mask_BS = at::ones({kRows, kLength}, at::kBool);
  auto segment_BS = at::zeros({kRows, kLength}, at::kLong);
  if (with_padding) {
    // The last row is padding but for one token, so that a rank may have next to nothing.
    mask_BS[kRows - 1].narrow(0, 1, kLength - 1).fill_(false);
    segment_BS[kRows - 1].narrow(0, 1, kLength - 1).fill_(-1);
    segment_BS[0].narrow(0, 3, kLength - 3).fill_(1);
  }
  const auto rows = [&](const at::Tensor& all) { return all.narrow(0, first, count).contiguous(); };
  return {rows(token_BS.narrow(1, 0, kLength)), rows(token_BS.narrow(1, 1, kLength)), rows(mask_BS),
          rows(segment_BS)};
}

struct Variant {
  bool recompute = false;
  bool with_padding = false;
  bool one_expert_gets_all = false;
  int64_t micro_batch = 2;
};

Trace train(const Ranks& ranks, const Variant& variant) {
  auto config = small_config();
  config.balance.moe_aux_loss_coeff = 0.05;
  Transformer model(config, *ranks.expert, at::kFloat);
  model.initialize(17);
  if (variant.one_expert_gets_all) {
    at::NoGradGuard no_grad;
    for (auto& item : model.named_parameters()) {
      if (item.key().ends_with("mlp.gate.weight")) item.value().zero_();
    }
  }
  OptimizerConfig settings;
  settings.clip_grad = 0.5;
  Optimizer optimizer(model.placed_parameters(), {*ranks.replica, *ranks.replica, *ranks.data}, settings);
  const int64_t rows = kRows / ranks.replica->size();
  TrainStep step(model, optimizer, *ranks.replica, std::min(rows, variant.micro_batch), variant.recompute);

  Trace trace;
  for (int64_t s = 0; s < kSteps; ++s) {
    const auto outcome = step.run(batch_of(s, ranks.replica->rank() * rows, rows, variant.with_padding), 1e-2);
    EXPECT_TRUE(outcome.applied);
    trace.losses.push_back(outcome.loss);
    trace.norms.push_back(outcome.gradient_norm);
    for (const auto& layer : outcome.routing) {
      trace.balance.push_back(layer.balance_loss_sum);
      trace.counts.push_back(layer.count_E);
    }
  }
  for (const auto& parameter : model.placed_parameters()) {
    const auto flat = parameter.tensor.detach().view({-1});
    for (const auto& piece : parameter.pieces) {
      trace.parameters[piece.name] = flat.narrow(0, piece.offset, c10::multiply_integers(piece.shape)).clone();
    }
  }
  return trace;
}

void expect_same(const Trace& actual, const Trace& expected) {
  for (size_t s = 0; s < expected.losses.size(); ++s) {
    EXPECT_NEAR(actual.losses[s] / expected.losses[s], 1, 1e-5) << "step " << s;
    EXPECT_NEAR(actual.norms[s] / expected.norms[s], 1, 1e-4) << "step " << s;
  }
  ASSERT_EQ(actual.counts.size(), expected.counts.size());
  for (size_t i = 0; i < expected.counts.size(); ++i) {
    EXPECT_TRUE(actual.counts[i].equal(expected.counts[i])) << "step and layer " << i;
    EXPECT_NEAR(actual.balance[i], expected.balance[i], 1e-4);
  }
  for (const auto& [name, values] : actual.parameters) {
    const auto difference = (values - expected.parameters.at(name)).abs().max().item<double>();
    EXPECT_LT(difference, 2e-4) << name;
  }
}

void compare_all_layouts(const Variant& variant) {
  const int size = multi_rank_world().size();
  const auto expected = train(one_rank(), variant);
  for (int expert = 1; expert <= size; ++expert) {
    if (size % expert != 0) continue;
    SCOPED_TRACE(join_text("data ", size / expert, " x expert ", expert));
    expect_same(train(ranks_of(size / expert, expert), variant), expected);
  }
}

TEST(Layout, EveryDataAndExpertLayoutTrainsAsOneRank) { compare_all_layouts({}); }

TEST(Layout, AlsoWithRecomputation) { compare_all_layouts({.recompute = true}); }

TEST(Layout, AlsoWithPaddingAndDocumentsApart) { compare_all_layouts({.with_padding = true}); }

TEST(Layout, AlsoWhenAllTokensChooseTheFirstExperts) { compare_all_layouts({.one_expert_gets_all = true}); }

TEST(Layout, MicroBatchSizeDoesNotMatter) {
  const auto expected = train(one_rank(), {.micro_batch = 8});
  expect_same(train(one_rank(), {.micro_batch = 1}), expected);
  expect_same(train(one_rank(), {.micro_batch = 4}), expected);
}

TEST(Layout, TheSameRunTwiceIsTheSameBitByBit) {
  const int size = multi_rank_world().size();
  const auto first = train(ranks_of(1, size), {});
  const auto second = train(ranks_of(1, size), {});
  EXPECT_EQ(first.losses, second.losses);
  EXPECT_EQ(first.norms, second.norms);
  for (const auto& [name, values] : first.parameters) EXPECT_TRUE(values.equal(second.parameters.at(name))) << name;
}

}  // namespace
}  // namespace granule
