#include "model/lora.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "model/model_size.h"
#include "model/transformer.h"
#include "optim/optimizer.h"
#include "tests/support/small_batch.h"
#include "tests/support/small_model.h"
#include "tests/support/tensor_compare.h"
#include "train/step.h"

namespace granule {
namespace {

LoraConfig rank_of(int64_t rank, double dropout = 0, std::vector<std::string> targets = kLoraTargets) {
  return {.rank = rank, .alpha = 6, .dropout = dropout, .target_modules = std::move(targets)};
}

std::unique_ptr<Transformer> make_model(const LoraConfig& lora, const ModelConfig& config,
                                        at::ScalarType dtype = at::kFloat) {
  auto model = std::make_unique<Transformer>(config, alone(), dtype);
  model->initialize(17);
  fill_from_seed(*model, 17);
  if (lora.is_on()) {
    model->adapt(lora, 5);
    model->initialize(5);
  }
  return model;
}

// B too, so that all adapters do something.
void fill_adapters(const Transformer& model) {
  const at::NoGradGuard no_grad;
  at::manual_seed(3);
  for (const auto& parameter : split_adapters(model.placed_parameters()).adapters) parameter.tensor.normal_(0, 0.3);
}

std::map<std::string, at::Tensor> pieces(const Transformer& model, bool gradients) {
  std::map<std::string, at::Tensor> found;
  for (const auto& parameter : model.placed_parameters()) {
    const auto& tensor = gradients ? parameter.tensor.grad() : parameter.tensor;
    if (!tensor.defined()) continue;
    for (const auto& piece : parameter.pieces) {
      found[piece.name] =
          tensor.detach().flatten().narrow(0, piece.offset, c10::multiply_integers(piece.shape)).view(piece.shape);
    }
  }
  return found;
}

// Every gradient of a loss over tokens, balance losses and all.
std::map<std::string, at::Tensor> gradients_of(const Transformer& model, const at::Tensor& token_BS,
                                               const ForwardContext& context) {
  const auto output = model.forward(token_BS, context);
  const auto label_T = token_BS.flatten().roll(1);
  const auto losses = model.token_losses(output.hidden_TD, label_T, at::ones_like(label_T).to(at::kBool));
  (losses.sum + output.balance_loss).backward();
  return pieces(model, /*gradients=*/true);
}

ForwardContext rows_of(const at::Tensor& token_BS) {
  return {SequenceLayout::rows(token_BS.size(0), token_BS.size(1)), 0.5, 0.1};
}

TEST(Lora, AdaptersBeginAsPeftsDoAndEverythingElseIsFrozen) {
  const auto model = make_model(rank_of(3), small_config());
  const auto split = split_adapters(model->placed_parameters());
  for (const auto& parameter : split.base) EXPECT_FALSE(parameter.tensor.requires_grad());
  std::map<std::string, at::Tensor> all = pieces(*model, false);
  for (const auto& parameter : split.adapters) {
    EXPECT_TRUE(parameter.tensor.requires_grad());
    EXPECT_TRUE(parameter.decays);
    for (const auto& piece : parameter.pieces) {
      const auto& values = all.at(piece.name);
      if (piece.name.ends_with(kLoraB)) {
        EXPECT_TRUE(values.eq(0).all().item<bool>());
        continue;
      }
      const double bound = 1 / std::sqrt(static_cast<double>(piece.shape[1]));
      EXPECT_LE(values.abs().max().item<double>(), bound) << piece.name;
      EXPECT_GT(values.abs().max().item<double>(), 0.8 * bound) << piece.name;
      EXPECT_LT(values.min().item<double>(), 0);
    }
  }
  const auto shape = [&](const std::string& name) { return all.at("model.layers." + name).sizes().vec(); };
  using Shape = std::vector<int64_t>;
  EXPECT_EQ(shape("0.self_attn.k_proj.lora_A.weight"), (Shape{3, 16}));
  EXPECT_EQ(shape("0.self_attn.k_proj.lora_B.weight"), (Shape{8, 3}));
  EXPECT_EQ(shape("0.mlp.down_proj.lora_A.weight"), (Shape{3, 24}));
  EXPECT_EQ(shape("1.mlp.shared_experts.up_proj.lora_B.weight"), (Shape{8, 3}));
  EXPECT_EQ(shape("2.mlp.experts.7.gate_proj.lora_A.weight"), (Shape{3, 16}));
  EXPECT_FALSE(all.contains("lm_head.lora_A.weight"));
  EXPECT_FALSE(all.contains("model.layers.1.mlp.gate.lora_A.weight"));
}

TEST(Lora, OnlyTheTargetModulesAreAdapted) {
  const auto model = make_model(rank_of(2, 0, {"v_proj", "down_proj"}), small_config());
  for (const auto& parameter : split_adapters(model->placed_parameters()).adapters) {
    const auto& name = parameter.pieces.front().name;
    EXPECT_TRUE(name.find("v_proj") != std::string::npos || name.find("down_proj") != std::string::npos) << name;
  }
  // 3 layers of v, dense and 2 shared stacks and 2 routed stacks of down; A and B of each.
  EXPECT_EQ(trained_parameters(model->placed_parameters()).size(), 2 * (3 + 1 + 2 + 2));
}

TEST(Lora, FreshAdaptersChangeNothing) {
  const auto token_BS = some_tokens({2, 7}, 32, 4);
  for (const auto dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    const auto plain = make_model({}, small_config(), dtype), adapted = make_model(rank_of(2), small_config(), dtype);
    const auto context = rows_of(token_BS);
    EXPECT_TENSOR_NEAR(adapted->forward(token_BS, context).hidden_TD, plain->forward(token_BS, context).hidden_TD,
                       dtype == at::kDouble ? 1e-12 : dtype == at::kFloat ? 1e-5 : 5e-2);
  }
  const auto plain = make_model({}, small_config());
  const auto adapted = make_model(rank_of(2, 0, {"q_proj", "o_proj"}), small_config());
  EXPECT_TRUE(adapted->forward(token_BS, rows_of(token_BS))
                  .hidden_TD.equal(plain->forward(token_BS, rows_of(token_BS)).hidden_TD));
}

// The twin holds W + s B A as plain matrices; by the chain rule dA = s B^T dW and dB = s dW A^T.
void compare_with_merged_twin(at::ScalarType dtype, int64_t length, double tolerance) {
  const auto lora = rank_of(3);
  const auto adapted = make_model(lora, small_config(), dtype), twin = make_model({}, small_config(), dtype);
  fill_adapters(*adapted);
  const auto values = pieces(*adapted, false);
  {
    const at::NoGradGuard no_grad;
    for (auto& [name, weight] : pieces(*twin, false)) {
      const auto a = values.find(name.substr(0, name.rfind('.')) + std::string(kLoraA));
      if (a == values.end()) continue;
      weight.add_(at::mm(values.at(name.substr(0, name.rfind('.')) + std::string(kLoraB)), a->second), lora.scale());
    }
  }
  const auto token_BS = some_tokens({1, length}, 32, 4);
  const auto actual = gradients_of(*adapted, token_BS, rows_of(token_BS));
  const auto expected = gradients_of(*twin, token_BS, rows_of(token_BS));
  EXPECT_FALSE(actual.empty());
  int64_t without_rows = 0;
  for (const auto& [name, gradient] : actual) {
    ASSERT_TRUE(is_adapter(name)) << name << " is frozen but has a gradient";
    if (!name.ends_with(kLoraA)) continue;
    const auto matrix = name.substr(0, name.size() - kLoraA.size());
    const auto b_name = matrix + std::string(kLoraB);
    const auto& grad_weight = expected.at(matrix + ".weight");
    EXPECT_TENSOR_NEAR(gradient, at::mm(values.at(b_name).t(), grad_weight) * lora.scale(), tolerance);
    EXPECT_TENSOR_NEAR(actual.at(b_name), at::mm(grad_weight, values.at(name).t()) * lora.scale(), tolerance);
    without_rows += grad_weight.eq(0).all().item<bool>();
  }
  // 2 tokens reach at most 6 of 8 experts.
  EXPECT_GE(without_rows, length == 2 ? 2 * 2 * 3 : 0);
}

TEST(Lora, GradientsAreThoseOfTheMergedModel) {
  compare_with_merged_twin(at::kDouble, 12, 1e-10);
  compare_with_merged_twin(at::kFloat, 12, 1e-4);
}

TEST(Lora, GradientsOfExpertsWithoutRowsAreZero) {
  compare_with_merged_twin(at::kDouble, 2, 1e-10);
}

TEST(Lora, RecomputationDropsTheSameInputs) {
  const auto token_BS = some_tokens({2, 7}, 32, 4);
  auto context = rows_of(token_BS);
  context.place = {.step = 3, .first_token = 14};
  std::map<std::string, at::Tensor> found[2];
  for (const bool recompute : {false, true}) {
    const auto model = make_model(rank_of(3, 0.4), small_config());
    fill_adapters(*model);
    context.recompute = recompute;
    for (const auto& [name, gradient] : gradients_of(*model, token_BS, context))
      found[recompute][name] = gradient.clone();
  }
  ASSERT_EQ(found[0].size(), found[1].size());
  EXPECT_GT(found[0].size(), 0);
  for (const auto& [name, gradient] : found[0]) EXPECT_TENSOR_NEAR(found[1].at(name), gradient, 1e-6);
}

// An adapter whose A and B are the identity gives back its inputs.
class Identity : public AdaptableMatrix {
 public:
  Identity(int64_t width, double dropout, const std::string& name, uint64_t seed = 5)
      : AdaptableMatrix({width, width}, at::TensorOptions(at::kFloat)) {
    adapt({.rank = width, .alpha = static_cast<double>(width), .dropout = dropout}, seed, name);
    const at::NoGradGuard no_grad;
    for (auto& parameter : parameters()) parameter.copy_(at::eye(width));
  }
  at::Tensor kept(const at::Tensor& x_NI, const std::optional<BatchPlace>& place) const {
    return delta(x_NI, {x_NI.size(0)}, place).detach();
  }
};

TEST(Lora, DropoutTakesItsShareAndKeepsTheMean) {
  const auto x_NI = at::ones({500, 64});
  const auto kept_NI = Identity(64, 0.1, "q_proj").kept(x_NI, BatchPlace{.step = 7});
  EXPECT_NEAR(kept_NI.eq(0).to(at::kFloat).mean().item<double>(), 0.1, 0.01);
  EXPECT_NEAR(kept_NI.max().item<double>(), 1 / 0.9, 1e-6);
  EXPECT_NEAR(kept_NI.mean().item<double>(), 1, 0.015);
  EXPECT_TRUE(Identity(64, 0.1, "q_proj").kept(x_NI, {}).equal(x_NI));
  EXPECT_TRUE(Identity(64, 0, "q_proj").kept(x_NI, BatchPlace{}).equal(x_NI));
}

TEST(Lora, DropoutIsAFunctionOfSeedStepModuleAndToken) {
  const auto x_NI = at::ones({8, 16});
  const Identity matrix(16, 0.5, "layers.0.q_proj");
  const auto whole_NI = matrix.kept(x_NI, BatchPlace{.step = 7, .first_token = 40});
  EXPECT_TRUE(matrix.kept(x_NI, BatchPlace{.step = 7, .first_token = 40}).equal(whole_NI));
  EXPECT_FALSE(matrix.kept(x_NI, BatchPlace{.step = 8, .first_token = 40}).equal(whole_NI));
  EXPECT_FALSE(Identity(16, 0.5, "layers.1.q_proj").kept(x_NI, BatchPlace{7, 40}).equal(whole_NI));
  EXPECT_FALSE(Identity(16, 0.5, "layers.0.q_proj", 6).kept(x_NI, BatchPlace{7, 40}).equal(whole_NI));
  // Tokens 45 to 47 as a micro-batch of their own.
  EXPECT_TRUE(matrix.kept(x_NI.narrow(0, 0, 3), BatchPlace{7, 45}).equal(whole_NI.narrow(0, 5, 3)));
}

TEST(Lora, DropoutOfRoutedExpertsIsAFunctionOfSeedStepModuleAndMicroBatch) {
  const auto x_NI = at::ones({8, 16});
  const std::string name = "layers.0.mlp.experts.up_proj";
  const Identity matrix(16, 0.5, name);
  const auto kept_NI = matrix.kept(x_NI, BatchPlace{.step = 7, .first_token = 40});
  EXPECT_TRUE(matrix.kept(x_NI, BatchPlace{7, 40}).equal(kept_NI));
  EXPECT_FALSE(matrix.kept(x_NI, BatchPlace{8, 40}).equal(kept_NI));
  EXPECT_FALSE(matrix.kept(x_NI, BatchPlace{7, 48}).equal(kept_NI));
  EXPECT_FALSE(Identity(16, 0.5, "layers.1.mlp.experts.up_proj").kept(x_NI, BatchPlace{7, 40}).equal(kept_NI));
  EXPECT_FALSE(Identity(16, 0.5, name, 6).kept(x_NI, BatchPlace{7, 40}).equal(kept_NI));
}

// Three steps; how large the optimizer's buffers are and what has changed.
struct Trained {
  std::unique_ptr<Transformer> model;
  std::unique_ptr<Optimizer> optimizer;
  double first_loss = 0, last_loss = 0;
};

Trained train(const LoraConfig& lora, const ModelConfig& config, int64_t micro_batch) {
  Trained trained{make_model(lora, config), {}};
  trained.optimizer = std::make_unique<Optimizer>(trained_parameters(trained.model->placed_parameters()),
                                                  ShardGroups{alone(), alone(), alone()}, OptimizerConfig{});
  TrainStep step(*trained.model, *trained.optimizer, alone(), micro_batch, /*recompute=*/false);
  for (int64_t s = 0; s < 3; ++s) {
    const auto outcome = step.run(small_batch(0, 0, kSmallRows, false), 3e-2);
    EXPECT_TRUE(outcome.applied);
    (s == 0 ? trained.first_loss : trained.last_loss) = outcome.loss;
  }
  return trained;
}

TEST(Lora, TrainingMovesAdaptersAloneAndKeepsStateOfNothingElse) {
  auto config = small_config();
  as_v3(config.router);
  config.router.moe_router_bias_update_rate = 0.01;
  const auto before = pieces_of(*make_model(rank_of(2), config));
  const auto trained = train(rank_of(2), config, 4);
  EXPECT_LT(trained.last_loss, trained.first_loss);
  for (const auto& [name, values] : pieces_of(*trained.model)) {
    // B of an expert that no token reaches stays zero, A decays.
    const bool moves = name.ends_with(kLoraA) || (is_adapter(name) && name.find(".experts.") == std::string::npos);
    if (is_adapter(name) && !moves) continue;
    EXPECT_EQ(values.equal(before.at(name)), !moves) << name;
  }
  for (const auto& parameter : split_adapters(trained.model->placed_parameters()).base)
    EXPECT_FALSE(parameter.tensor.grad().defined());

  const auto size = measure_size(*trained.model);
  int64_t in_buffers = 0;
  size_t tensors = 0;
  for (const auto& shard : trained.optimizer->shards()) {
    for (const auto& segment : shard.buffer->own_segments()) {
      EXPECT_TRUE(is_adapter(segment.piece->name)) << segment.piece->name;
      in_buffers += segment.count;
      ++tensors;
    }
    // Between tensors lie only the gaps of alignment.
    EXPECT_LE(shard.exp_avg.numel(), shard.buffer->parameter().numel());
    EXPECT_EQ(shard.buffer->gradient().numel(), shard.buffer->parameter().numel());
  }
  EXPECT_EQ(in_buffers, size.trained());
  EXPECT_GT(tensors, 0);
  EXPECT_LT(size.trained(), size.total());
}

TEST(Lora, AccumulationChangesNothingAlsoWithDropoutWhereRowsDoNotTravel) {
  const auto lora = rank_of(2, 0.3, {"q_proj", "k_proj", "v_proj", "o_proj"});
  const auto expected = pieces_of(*train(lora, small_config(), 8).model);
  for (const auto& [name, values] : pieces_of(*train(lora, small_config(), 2).model)) {
    EXPECT_TENSOR_NEAR(values, expected.at(name), 2e-4);
  }
}

TEST(Lora, SizesCountAdaptersBesideTheModel) {
  const auto config = small_config();
  const auto plain = measure_size(Transformer(config, alone(), at::kFloat, at::kMeta));
  Transformer model(config, alone(), at::kFloat, at::kMeta);
  model.adapt(rank_of(2), 1);
  const auto size = measure_size(model);
  EXPECT_EQ(size.total(), plain.total());
  EXPECT_EQ(size.activated(), plain.activated());
  EXPECT_EQ(plain.trained(), plain.total());
  // q, o 16 -> 16; k, v 16 -> 8; the dense layer's three 16 <-> 24; two shared experts and 2 x 8 experts, 16 <-> 8.
  const int64_t attention = 2 * (2 * 32 + 2 * 24), dense = 2 * 3 * 40, expert = 2 * 3 * 24;
  EXPECT_EQ(size.adapters, 3 * attention + dense + 2 * expert);
  EXPECT_EQ(size.routed_adapters, 2 * 8 * expert);
  EXPECT_EQ(size.adapters_activated, size.adapters + 2 * 3 * expert);
  EXPECT_EQ(size.trained(), size.adapters + size.routed_adapters);
  EXPECT_LT(training_flops_per_token(config, size, 64), training_flops_per_token(config, plain, 64));
}

}  // namespace
}  // namespace granule
