#include "model/transformer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <set>

#include "base/check.h"
#include "model/router.h"
#include "model/routing_statistics.h"
#include "tests/support/small_model.h"
#include "tests/support/tensor_compare.h"

namespace granule {
namespace {

Transformer small_transformer(const ModelConfig& config, at::ScalarType dtype = at::kFloat) {
  Transformer model(config, alone(), dtype);
  model.initialize(11);
  return model;
}

// Mean token loss plus balance loss, with gradients in the parameters.
double run(const Transformer& model, const at::Tensor& token_BS, ForwardContext context) {
  const auto output = model.forward(token_BS, context);
  const auto label_T = token_BS.flatten().roll(-1);
  auto loss = model.token_losses(output.hidden_TD, label_T, at::ones_like(label_T, at::kBool)).sum /
              static_cast<double>(label_T.numel());
  if (output.balance_loss.defined()) loss = loss + output.balance_loss;
  loss.backward();
  return loss.item<double>();
}

TEST(ModelConfig, RoutedLayersAreThoseWithARouter) {
  auto config = small_config();
  EXPECT_EQ(config.routed_layers(), (std::vector<int64_t>{1, 2}));
  config.moe_layer_freq = 2;
  EXPECT_EQ(config.routed_layers(), std::vector<int64_t>{2});
  config.router.n_routed_experts = 0;
  EXPECT_EQ(config.num_routed_layers(), 0);
}

TEST(ModelConfig, RefusesExpertsThatNoLayerHas) {
  const auto refusal = [](int64_t routed, int64_t shared, int64_t first_dense,
                          int64_t frequency) -> std::string {
    ModelConfig config;  // 4 layers
    config.router.n_routed_experts = routed;
    config.n_shared_experts = shared;
    config.first_k_dense_replace = first_dense;
    config.moe_layer_freq = frequency;
    try {
      config.check();
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(refusal(64, 0, 1, 4),
            "model.moe_layer_freq = 4 leaves, with model.first_k_dense_replace = 1, no layer of 4 to "
            "model.n_routed_experts = 64; a dense model has no experts");
  EXPECT_EQ(
      refusal(0, 2, 4, 1),
      "model.first_k_dense_replace = 4 leaves no layer to model.n_shared_experts = 2; a dense model has no "
      "experts");
  EXPECT_EQ(refusal(64, 2, 3, 3), "accepted");
  EXPECT_EQ(refusal(0, 0, 4, 1), "accepted");
}

TEST(Transformer, NamesParametersAsHuggingFaceDoes) {
  const auto model = small_transformer(small_config());
  std::set<std::string> names;
  for (const auto& parameter : model.placed_parameters()) {
    int64_t elements = 0;
    for (const auto& piece : parameter.pieces) {
      EXPECT_EQ(piece.offset, elements) << piece.name;
      int64_t count = 1;
      for (const auto size : piece.shape) count *= size;
      elements += count;
      EXPECT_TRUE(names.insert(piece.name).second) << piece.name;
    }
    EXPECT_EQ(elements, parameter.tensor.numel());
  }
  for (const char* name :
       {"model.embed_tokens.weight", "model.layers.0.mlp.gate_proj.weight", "model.layers.1.mlp.gate.weight",
        "model.layers.2.mlp.experts.7.down_proj.weight", "model.layers.2.mlp.shared_experts.up_proj.weight",
        "model.layers.1.self_attn.q_proj.weight", "model.layers.1.post_attention_layernorm.weight",
        "model.norm.weight", "lm_head.weight"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
  // Outside 3, a dense layer 9, an MoE layer 6 + 1 router + 3 shared + 8 x 3 experts.
  EXPECT_EQ(names.size(), 3u + 9u + 2u * (6 + 1 + 3 + 24));
}

TEST(Transformer, NormsAreNotDecayedAndExpertsArePlacedApart) {
  const auto model = small_transformer(small_config());
  for (const auto& parameter : model.placed_parameters()) {
    const auto& name = parameter.pieces[0].name;
    EXPECT_EQ(parameter.decays, name.find("norm") == std::string::npos) << name;
    EXPECT_EQ(parameter.placement == Placement::kExpert, name.find(".experts.") != std::string::npos) << name;
  }
}

TEST(Transformer, ParametersKnowTheirBlock) {
  auto config = small_config();
  config.num_hidden_layers = 11;
  for (const auto& parameter : small_transformer(config).placed_parameters()) {
    const auto& name = parameter.pieces[0].name;
    const auto prefix = "model.layers." + std::to_string(parameter.block) + ".";
    EXPECT_EQ(parameter.block == kNoBlock, name.find(".layers.") == std::string::npos) << name;
    EXPECT_TRUE(parameter.block == kNoBlock || name.starts_with(prefix)) << name;
  }
}

// Whatever the balance losses: their gradients come in beside those of a block's output.
TEST(Transformer, BackwardCallsBeforeABlocksFirstGradient) {
  for (const char* balance : {"none", "seq_aux_loss", "global_aux_loss"}) {
    for (const bool recompute : {false, true}) {
      auto config = small_config();
      config.balance.moe_router_load_balancing_type = balance;
      config.balance.moe_aux_loss_coeff = balance == std::string("none") ? 0 : 0.1;
      const auto model = small_transformer(config);
      const auto parameters = model.placed_parameters();
      std::vector<int64_t> called;
      ForwardContext context{SequenceLayout::rows(2, 5), 0.5, 0.1};
      context.recompute = recompute;
      context.before_backward = [&](int64_t block) {
        for (const auto& parameter : parameters) {
          if (parameter.block == kNoBlock) continue;
          EXPECT_EQ(parameter.tensor.grad().defined(), parameter.block > block) << parameter.pieces[0].name;
        }
        called.push_back(block);
      };
      run(model, some_tokens({2, 5}, config.vocab_size, 1), context);
      EXPECT_EQ(called, (std::vector<int64_t>{2, 1, 0})) << balance << (recompute ? ", recomputed" : "");
    }
  }
}

TEST(Transformer, SelectionBiasAndHashTableAreCarriedWithoutGradientOrDecay) {
  auto biased = small_config(), hashed = small_config();
  biased.router.moe_router_enable_expert_bias = true;
  hashed.router.moe_router_type = "hash";
  hashed.router.num_experts_per_tok = 1;
  for (const auto& [config, end] :
       {std::pair(biased, "mlp.gate.e_score_correction_bias"), std::pair(hashed, "mlp.gate.tid2eid")}) {
    const auto model = small_transformer(config, at::kBFloat16);
    int found = 0;
    for (const auto& parameter : model.placed_parameters()) {
      if (!parameter.pieces[0].name.ends_with(end)) continue;
      ++found;
      EXPECT_FALSE(parameter.decays || parameter.tensor.requires_grad());
      EXPECT_EQ(parameter.tensor.scalar_type(), at::kFloat);
      EXPECT_EQ(parameter.placement, Placement::kReplicated);
    }
    EXPECT_EQ(found, 2) << end;
  }
}

// Through the whole model, in training and in generation.
TEST(Transformer, HashRoutersSeeTheIdsOfTheirTokens) {
  auto config = small_config();
  config.router.moe_router_type = "hash";
  config.router.num_experts_per_tok = 1;
  const auto model = small_transformer(config);
  const auto token_BS = at::full({1, 4}, 5, at::kLong);
  std::vector<RoutingStatistics> statistics;
  const auto hidden_TD = model.forward(token_BS, {SequenceLayout::rows(1, 4), 0, 0, &statistics}).hidden_TD;
  const auto parameters = model.named_parameters();
  for (const int64_t layer : {1, 2}) {
    const auto table_V = parameters["model.layers." + std::to_string(layer) + ".mlp.gate.tid2eid"];
    const auto chosen_E = statistics[static_cast<size_t>(layer - 1)].chosen_E();
    EXPECT_EQ(chosen_E[table_V[5].item<int64_t>()].item<int64_t>(), 4);
  }
  auto cache = model.make_cache(1, 4);
  model.next_logits(token_BS.narrow(1, 0, 3), {{3}}, cache);
  const auto logit_BSV = at::linear(hidden_TD, parameters["lm_head.weight"]).view({1, 4, -1});
  EXPECT_TENSOR_NEAR(model.next_logits(token_BS.narrow(1, 3, 1), {{1}}, cache), logit_BSV.select(1, 3), 1e-5);
}

TEST(Transformer, FirstValuesHangOnSeedNameAndElementAlone) {
  auto config = small_config();
  const auto model = small_transformer(config);
  config.num_hidden_layers = 2;
  config.router.n_routed_experts = 4;
  const auto smaller = small_transformer(config);
  const std::string name = "model.layers.1.mlp.experts.gate_proj.weight";
  const auto large = model.named_parameters()[name];
  EXPECT_TRUE(large.narrow(0, 0, 4).equal(smaller.named_parameters()[name]));
  EXPECT_FALSE(large[0].equal(large[1]));
  EXPECT_NEAR(large.std().item<double>(), config.initializer_range, 0.02);
}

TEST(Transformer, RecomputationChangesNothingBitByBit) {
  const auto config = small_config();
  const auto token_BS = some_tokens({2, 6}, config.vocab_size, 1);
  std::vector<std::vector<at::Tensor>> gradients;
  std::vector<double> losses;
  for (const bool recompute : {false, true}) {
    const auto model = small_transformer(config);
    std::vector<RoutingStatistics> statistics;
    ForwardContext context{SequenceLayout::rows(2, 6), 0.5, 1.0 / 12, &statistics, recompute};
    losses.push_back(run(model, token_BS, context));
    EXPECT_EQ(statistics.size(), 2u);
    auto& kept = gradients.emplace_back();
    for (const auto& parameter : model.parameters()) kept.push_back(parameter.grad());
  }
  EXPECT_EQ(losses[0], losses[1]);
  for (size_t i = 0; i < gradients[0].size(); ++i) EXPECT_TRUE(gradients[0][i].equal(gradients[1][i]));
}

TEST(Transformer, RoutersAreHeardOnceAlsoWhenBlocksRunAgain) {
  const auto model = small_transformer(small_config());
  std::vector<RoutingStatistics> statistics;
  std::vector<Routing> routings;
  ForwardContext context{SequenceLayout::rows(2, 6)};
  context.recompute = true;
  context.statistics = &statistics;
  context.routings = &routings;
  run(model, some_tokens({2, 6}, 32, 1), context);
  EXPECT_EQ(statistics.size(), 2u);
  EXPECT_EQ(routings.size(), 2u);
}

TEST(Transformer, AttentionInsideDocumentsEqualsDocumentsApart) {
  const auto config = small_config();
  const auto model = small_transformer(config);
  const auto token_BS = some_tokens({1, 7}, config.vocab_size, 2);
  const auto segment_BS = at::tensor({0, 0, 0, 1, 1, 1, 1}, at::kLong).view({1, 7});
  const auto packed_TD = model.forward(token_BS, {SequenceLayout::from_segments(segment_BS)}).hidden_TD;
  const auto first_TD = model.forward(token_BS.narrow(1, 0, 3), {SequenceLayout::rows(1, 3)}).hidden_TD;
  const auto second_TD = model.forward(token_BS.narrow(1, 3, 4), {SequenceLayout::rows(1, 4)}).hidden_TD;
  EXPECT_TENSOR_NEAR(packed_TD, at::cat({first_TD, second_TD}), 1e-5);
}

// As a rank has them when the data end before its turn.
TEST(Transformer, RunsRowsOfPaddingAlone) {
  const auto model = small_transformer(small_config());
  const auto layout = SequenceLayout::from_segments(at::full({2, 3}, -1, at::kLong));
  const auto output = model.forward(at::zeros({2, 3}, at::kLong), {layout, 0.5, 1.0 / 12});
  EXPECT_TRUE(output.hidden_TD.isfinite().all().item<bool>());
}

TEST(Transformer, CachedGenerationEqualsTheWholeForwardPass) {
  for (const bool tied : {false, true}) {
    auto config = small_config();
    config.tie_word_embeddings = tied;
    const auto model = small_transformer(config);
    const auto token_BS = some_tokens({2, 6}, config.vocab_size, 3);
    const auto parameters = model.named_parameters();
    const auto head_VD = tied ? parameters["model.embed_tokens.weight"] : parameters["lm_head.weight"];
    const auto hidden_TD = model.forward(token_BS, {SequenceLayout::rows(2, 6)}).hidden_TD;
    const auto logit_BSV = at::linear(hidden_TD, head_VD).view({2, 6, -1});

    // The first row is one token behind the second all the way; its padding means nothing.
    auto cache = model.make_cache(2, 6);
    const std::vector<int64_t> first{3, 4}, next{1, 1}, last{2, 1};
    const auto expect = [&](const at::Tensor& logit_BV, int64_t first_place, int64_t second_place) {
      EXPECT_TENSOR_NEAR(logit_BV[0], logit_BSV[0][first_place], 1e-5);
      EXPECT_TENSOR_NEAR(logit_BV[1], logit_BSV[1][second_place], 1e-5);
    };
    auto token_BS4 = token_BS.narrow(1, 0, 4).clone();
    token_BS4[0][3] = 0;
    expect(model.next_logits(token_BS4, first, cache), 2, 3);
    expect(model.next_logits(at::stack({token_BS[0][3], token_BS[1][4]}).view({2, 1}), next, cache), 3, 4);
    expect(
        model.next_logits(at::stack({token_BS[0].narrow(0, 4, 2), token_BS[1][5].expand({2})}), last, cache),
        5, 5);
  }
}

TEST(Transformer, BalanceLossReachesTheRouterWithItsCoefficient) {
  const auto config = small_config();
  const auto token_BS = some_tokens({2, 6}, config.vocab_size, 4);
  const auto gradient_of = [&](double sequence_weight) {
    const auto model = small_transformer(config);
    const auto output = model.forward(token_BS, {SequenceLayout::rows(2, 6), sequence_weight});
    output.balance_loss.backward();
    return model.named_parameters()["model.layers.1.mlp.gate.weight"].grad().clone();
  };
  const auto gradient = gradient_of(0.5);
  EXPECT_GT(gradient.abs().max().item<double>(), 0);
  EXPECT_TENSOR_NEAR(gradient_of(0.25) * 2, gradient, 1e-7);
}

TEST(Transformer, KeepsRoutersAndNormsInFp32InABf16Model) {
  const auto model = small_transformer(small_config(), at::kBFloat16);
  for (const auto& item : model.named_parameters()) {
    const bool fp32 = item.key().find("norm") != std::string::npos || item.key().ends_with("mlp.gate.weight");
    EXPECT_EQ(item.value().scalar_type(), fp32 ? at::kFloat : at::kBFloat16) << item.key();
  }
  const auto token_BS = some_tokens({2, 6}, 32, 5);
  const auto full = small_transformer(small_config());
  const auto low_TD = model.forward(token_BS, {SequenceLayout::rows(2, 6)}).hidden_TD;
  const auto full_TD = full.forward(token_BS, {SequenceLayout::rows(2, 6)}).hidden_TD;
  EXPECT_EQ(low_TD.scalar_type(), at::kBFloat16);
  EXPECT_TENSOR_NEAR(low_TD.to(at::kFloat), full_TD, 0.2);
}

}  // namespace
}  // namespace granule
