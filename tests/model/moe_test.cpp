#include "model/moe.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <functional>

#include "model/batch_counts.h"
#include "model/hash_table.h"
#include "model/routing_statistics.h"
#include "tests/support/naive_moe.h"
#include "tests/support/small_model.h"
#include "tests/support/tensor_compare.h"

namespace granule {
namespace {

struct Case {
  std::string name;
  std::function<void(RouterConfig&, BalanceConfig&)> change;
  int64_t shared = 1;
};

at::Tensor balance_or_zero(const MoeOutput& output) {
  return output.balance_loss.defined() ? output.balance_loss : at::zeros({});
}

// Fresh parameters; a hash table instead of normal values where there is one.
void fill(Moe& layer, const ModelConfig& config) {
  fill_from_seed(layer, 3);
  if (!config.router.is_hash()) return;
  const at::NoGradGuard no_grad;
  const std::vector<int64_t> count_V(static_cast<size_t>(config.vocab_size), 1);
  layer.named_parameters()["gate.tid2eid"].copy_(at::tensor(
      make_hash_table(count_V, config.router.n_routed_experts, RandomStream(3, "table")), at::kLong));
}

class MoeAgainstTwin : public testing::TestWithParam<Case> {
 protected:
  MoeAgainstTwin() : config_(small_config()) {
    GetParam().change(config_.router, config_.balance);
    config_.n_shared_experts = GetParam().shared;
    config_.check();
  }

  // Loss and gradients of a scalar that uses every output, of the layer and of its twin, over three sequences
  // of which one ends in padding.
  void compare(at::ScalarType dtype, double tolerance) {
    Moe layer(config_, alone(), at::TensorOptions(dtype), at::TensorOptions(dtype));
    fill(layer, config_);
    const auto segment_BS = at::tensor({0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, -1}, at::kLong).view({2, 7});
    std::vector<RoutingStatistics> statistics;
    ForwardContext context{SequenceLayout::from_segments(segment_BS), 0.5, 0.1, &statistics};
    context.layout.token_T = some_tokens({14}, config_.vocab_size, 6);
    const auto x_TD = at::randn({14, config_.hidden_size}, at::TensorOptions(dtype)).requires_grad_();
    const auto valid_T1 = context.layout.valid_T.unsqueeze(1).to(dtype);
    const auto weight_TD = at::randn_like(x_TD) * valid_T1;

    const auto actual = layer.forward(x_TD, context, {});
    ((actual.y_TD * weight_TD).sum() + balance_or_zero(actual)).backward();
    const auto gradients = take_gradients(layer, x_TD);

    const auto twin = naive_moe(layer, config_, x_TD, context);
    ((twin.y_TD * weight_TD).sum() + twin.total_loss).backward();
    const auto expected = take_gradients(layer, x_TD);

    EXPECT_TENSOR_NEAR(actual.y_TD * valid_T1, twin.y_TD * valid_T1, tolerance);
    EXPECT_TENSOR_NEAR(balance_or_zero(actual), twin.total_loss, tolerance);
    ASSERT_EQ(gradients.size(), expected.size());
    for (size_t i = 0; i < gradients.size(); ++i) EXPECT_TENSOR_NEAR(gradients[i], expected[i], tolerance);
    compare_statistics(statistics.at(0), twin, tolerance);
  }

  void compare_statistics(const RoutingStatistics& actual, const NaiveMoe& twin, double tolerance) {
    auto chosen_E = at::zeros({config_.router.n_routed_experts}, at::kLong);
    for (const auto& experts : twin.experts) {
      for (const auto e : experts) chosen_E[e] += 1;
    }
    EXPECT_TRUE(actual.chosen_E().equal(chosen_E));
    EXPECT_NEAR(actual.balance().expert, twin.expert_loss.item<double>(), tolerance);
    const auto& balance = config_.balance;
    const auto expect = [&](double coefficient, double value, const at::Tensor& loss) {
      EXPECT_NEAR(value, coefficient > 0 ? loss.item<double>() : 0.0, tolerance);
    };
    expect(balance.moe_device_aux_loss_coeff, actual.balance().device, twin.device_loss);
    expect(balance.moe_comm_aux_loss_coeff, actual.balance().communication, twin.communication_loss);
    expect(balance.moe_z_loss_coeff, actual.balance().z, twin.z_loss);
  }

  static std::vector<at::Tensor> take_gradients(torch::nn::Module& layer, const at::Tensor& x_TD) {
    std::vector<at::Tensor> gradients{x_TD.grad().clone()};
    x_TD.mutable_grad().reset();
    for (auto& parameter : layer.parameters()) {
      if (!parameter.requires_grad()) continue;
      gradients.push_back(parameter.grad().clone());
      parameter.mutable_grad().reset();
    }
    return gradients;
  }

  ModelConfig config_;
};

TEST_P(MoeAgainstTwin, ValuesBalanceLossesAndEveryGradientInFp64) {
  compare(at::kDouble, 1e-10);
}
TEST_P(MoeAgainstTwin, ValuesBalanceLossesAndEveryGradientInFp32) {
  compare(at::kFloat, 2e-5);
}

void choose(RouterConfig& router, int64_t k, int64_t experts) {
  router.num_experts_per_tok = k;
  router.n_routed_experts = experts;
}

void as_scaled_v3(RouterConfig& router) {
  as_v3(router);
  router.routed_scaling_factor = 2.5;
}

void limit_devices(RouterConfig& router) {
  router.topk_method = "group_limited_greedy";
  router.n_group = 4;
  router.topk_group = 2;
}

void no_balance(BalanceConfig& balance) {
  balance.moe_router_load_balancing_type = "none";
  balance.moe_aux_loss_coeff = 0;
}

void all_losses(BalanceConfig& balance) {
  balance.moe_aux_loss_coeff = 0.3;
  balance.n_device_groups = 2;
  balance.moe_device_aux_loss_coeff = 0.5;
  balance.moe_comm_aux_loss_coeff = 0.7;
  balance.moe_z_loss_coeff = 0.02;
}

INSTANTIATE_TEST_SUITE_P(
    Systems, MoeAgainstTwin,
    testing::Values(
        Case{"FineGrained", [](auto&, auto&) {}},  //
        Case{"TwoShared", [](auto& r, auto&) { choose(r, 4, 16); }, 2},
        Case{"Switch", [](auto& r, auto&) { choose(r, 1, 4); }, 0},
        Case{"SwitchWithCapacity",
             [](auto& r, auto&) {
               choose(r, 1, 4);
               r.moe_expert_capacity_factor = 1.0;
             },
             0},
        Case{"GShard", [](auto& r, auto&) { choose(r, 2, 4); }, 0},
        Case{"GShardWithCapacity",
             [](auto& r, auto&) {
               choose(r, 2, 4);
               r.norm_topk_prob = true;
               r.moe_expert_capacity_factor = 0.8;
             },
             0},
        Case{"Hash",
             [](auto& r, auto& b) {
               choose(r, 1, 8);
               r.moe_router_type = "hash";
               b.moe_aux_loss_coeff = 0;
             },
             0},
        Case{"HashWithCapacity",
             [](auto& r, auto& b) {
               choose(r, 1, 4);
               r.moe_router_type = "hash";
               r.moe_expert_capacity_factor = 0.5;
               b.moe_aux_loss_coeff = 0;
             }},
        Case{"EveryExpert", [](auto& r, auto&) { choose(r, 4, 4); }, 0},
        Case{"MoreExpertsThanChoices", [](auto& r, auto&) { choose(r, 1, 64); }},
        Case{"Sigmoid", [](auto& r, auto&) { r.scoring_func = "sigmoid"; }},
        Case{"Normalised", [](auto& r, auto&) { r.norm_topk_prob = true; }},
        Case{"SigmoidNormalised",
             [](auto& r, auto&) {
               choose(r, 2, 8);
               r.scoring_func = "sigmoid";
               r.norm_topk_prob = true;
             },
             0},
        Case{"SelectionBias", [](auto& r, auto&) { r.moe_router_enable_expert_bias = true; }},
        Case{"GroupsByTheirBest", [](auto& r, auto&) { limit_devices(r); }},
        Case{"V3", [](auto& r, auto&) { as_scaled_v3(r); }},
        Case{"NoBalance", [](auto&, auto& b) { no_balance(b); }},
        Case{"MicroBatchLoss", [](auto&, auto& b) { b.moe_router_load_balancing_type = "aux_loss"; }},
        Case{"GlobalBatchLoss", [](auto&, auto& b) { b.moe_router_load_balancing_type = "global_aux_loss"; }},
        Case{"DeviceLoss",
             [](auto&, auto& b) {
               b.n_device_groups = 4;
               b.moe_device_aux_loss_coeff = 0.5;
             }},
        Case{"CommunicationLoss",
             [](auto& r, auto& b) {
               limit_devices(r);
               b.moe_comm_aux_loss_coeff = 0.5;
             }},
        Case{"ZLoss", [](auto&, auto& b) { b.moe_z_loss_coeff = 0.1; }},
        Case{"ZLossAlone",
             [](auto&, auto& b) {
               no_balance(b);
               b.moe_z_loss_coeff = 0.1;
             }},
        Case{"EveryLossBySequence",
             [](auto& r, auto& b) {
               as_scaled_v3(r);
               all_losses(b);
             }},
        Case{"EveryLossByBatch",
             [](auto& r, auto& b) {
               as_scaled_v3(r);
               all_losses(b);
               b.moe_router_load_balancing_type = "aux_loss";
             }}),
    [](const auto& info) { return info.param.name; });

TEST(Moe, GradientsMatchCentralDifferences) {
  auto config = small_config();
  as_scaled_v3(config.router);
  all_losses(config.balance);
  Moe layer(config, alone(), at::kDouble, at::kDouble);
  fill_from_seed(layer, 5);
  const ForwardContext context{SequenceLayout::rows(2, 3), 0.5, 0.1};
  const auto x_TD = at::randn({6, config.hidden_size}, at::kDouble).requires_grad_();
  const auto weight_TD = at::randn_like(x_TD);
  const auto objective = [&] {
    const auto output = layer.forward(x_TD, context, {});
    return (output.y_TD * weight_TD).sum() + output.balance_loss;
  };
  objective().backward();

  at::NoGradGuard no_grad;
  std::vector<at::Tensor> tensors{x_TD};
  for (const auto& parameter : layer.parameters()) {
    if (parameter.requires_grad()) tensors.push_back(parameter);
  }
  for (auto& tensor : tensors) {
    auto values = tensor.view({-1});
    const auto gradient = tensor.grad().view({-1});
    for (int64_t i = 0; i < values.numel(); i += 7) {
      const double value = values[i].item<double>(), h = 1e-6;
      values[i] = value + h;
      const double above = objective().item<double>();
      values[i] = value - h;
      const double below = objective().item<double>();
      values[i] = value;
      EXPECT_NEAR(gradient[i].item<double>(), (above - below) / (2 * h), 1e-7);
    }
  }
}

TEST(Moe, AllTokensToOneExpertLeaveTheOthersWithZeroGradient) {
  auto config = small_config();
  config.router.num_experts_per_tok = 1;
  Moe layer(config, alone(), at::kFloat, at::kFloat);
  fill_from_seed(layer, 5);
  {
    at::NoGradGuard no_grad;
    layer.named_parameters()["gate.weight"].zero_();
  }
  const auto output =
      layer.forward(at::randn({6, config.hidden_size}), {SequenceLayout::rows(1, 6), 1.0, 1.0}, {});
  output.y_TD.sum().backward();
  const auto gradient_eFD = layer.named_parameters()["experts.gate_proj.weight"].grad();
  EXPECT_GT(gradient_eFD[0].abs().max().item<float>(), 0);
  EXPECT_EQ(gradient_eFD.narrow(0, 1, 7).abs().max().item<float>(), 0);
}

TEST(Moe, SharedExpertsAloneAreOneAlwaysOnMlp) {
  auto config = small_config();
  config.router.n_routed_experts = 0;
  config.n_shared_experts = 4;
  Moe layer(config, alone(), at::kFloat, at::kFloat);
  fill_from_seed(layer, 5);
  const auto x_TD = at::randn({6, config.hidden_size});
  const auto output = layer.forward(x_TD, {SequenceLayout::rows(1, 6), 1.0, 1.0}, {});
  EXPECT_FALSE(output.balance_loss.defined());
  EXPECT_EQ(layer.named_parameters()["shared_experts.gate_proj.weight"].size(1),
            4 * config.moe_intermediate_size);
  EXPECT_TENSOR_NEAR(output.y_TD, naive_moe(layer, config, x_TD, {SequenceLayout::rows(1, 6)}).y_TD, 1e-5);
}

TEST(Moe, PaddingChangesNoLossAndNoGradient) {
  for (const std::string type : {"seq_aux_loss", "aux_loss", "global_aux_loss"}) {
    SCOPED_TRACE(type);
    auto config = small_config();
    as_scaled_v3(config.router);
    all_losses(config.balance);
    config.balance.moe_router_load_balancing_type = type;
    Moe layer(config, alone(), at::kDouble, at::kDouble);
    fill(layer, config);
    const auto x_TD = at::randn({4, config.hidden_size}, at::kDouble);
    const auto gate_gradient = [&](const at::Tensor& rows_TD, const SequenceLayout& layout) {
      const auto loss = layer.forward(rows_TD, {layout, 1.0, 0.25}, {}).balance_loss;
      loss.backward();
      auto gradient = layer.named_parameters()["gate.weight"].grad().clone();
      layer.zero_grad();
      return std::pair(loss.item<double>(), gradient);
    };
    const auto bare = gate_gradient(x_TD, SequenceLayout::rows(1, 4));
    const auto padded = gate_gradient(
        at::cat({x_TD, at::randn({3, config.hidden_size}, at::kDouble) * 10}),
        SequenceLayout::from_segments(at::tensor({0, 0, 0, 0, -1, -1, -1}, at::kLong).view({1, 7})));
    EXPECT_NEAR(padded.first, bare.first, 1e-12);
    EXPECT_TENSOR_NEAR(padded.second, bare.second, 1e-12);
  }
}

TEST(Moe, GlobalBatchLossTakesFrequenciesOfEarlierMicroBatchesToo) {
  auto config = small_config();
  config.balance.moe_router_load_balancing_type = "global_aux_loss";
  Moe layer(config, alone(), at::kDouble, at::kDouble);
  fill(layer, config);
  const auto x_TD = at::randn({6, config.hidden_size}, at::kDouble);
  BatchCounts counts(alone());
  const auto run = [&](const at::Tensor& rows_TD, BatchCounts* batch_counts) {
    ForwardContext context{SequenceLayout::rows(1, rows_TD.size(0)), 1.0, 1.0 / 6};
    context.batch_counts = batch_counts;
    if (batch_counts != nullptr) batch_counts->begin_micro_batch();
    return layer.forward(rows_TD, context, {});
  };
  const auto whole = run(x_TD, nullptr);
  const auto first = run(x_TD.narrow(0, 0, 2), &counts);
  const auto second = run(x_TD.narrow(0, 2, 4), &counts);
  EXPECT_TRUE(second.decision.count_sC.equal(whole.decision.count_sC));
  EXPECT_FALSE(first.decision.count_sC.equal(whole.decision.count_sC));

  // With the counts of the whole batch on both, the parts add up to the whole.
  ForwardContext context{SequenceLayout::rows(1, 2), 1.0, 1.0 / 6};
  const auto again =
      layer.forward(x_TD.narrow(0, 0, 2), context, {first.decision.chosen_TK, whole.decision.count_sC});
  EXPECT_NEAR((again.balance_loss + second.balance_loss).item<double>(), whole.balance_loss.item<double>(),
              1e-12);
}

}  // namespace
}  // namespace granule
