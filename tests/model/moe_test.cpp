#include "model/moe.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/support/naive_moe.h"
#include "tests/support/small_model.h"
#include "tests/support/tensor_compare.h"

namespace granule {
namespace {

struct Case {
  std::string name;
  int64_t experts, chosen, shared;
  std::string scoring = "softmax";
  bool norm = false;
};

class MoeAgainstTwin : public testing::TestWithParam<Case> {
 protected:
  MoeAgainstTwin() : config_(small_config()) {
    config_.router.n_routed_experts = GetParam().experts;
    config_.router.num_experts_per_tok = GetParam().chosen;
    config_.router.scoring_func = GetParam().scoring;
    config_.router.norm_topk_prob = GetParam().norm;
    config_.n_shared_experts = GetParam().shared;
  }

  // Loss and gradients of a scalar that uses every output, of the layer and of its twin, over two sequences of which
  // one ends in padding.
  void compare(at::ScalarType dtype, double tolerance) {
    Moe layer(config_, alone(), at::TensorOptions(dtype), at::TensorOptions(dtype));
    fill_from_seed(layer, 3);
    const auto segment_BS = at::tensor({0, 0, 0, 0, 0, 0, 0, 0, 0, -1}, at::kLong).view({2, 5});
    ForwardContext context{SequenceLayout::from_segments(segment_BS), 0.5};
    const auto x_TD = at::randn({10, config_.hidden_size}, at::TensorOptions(dtype)).requires_grad_();
    const auto valid_T1 = context.layout.valid_T.unsqueeze(1).to(dtype);
    const auto weight_TD = at::randn_like(x_TD) * valid_T1;

    const auto actual = layer.forward(x_TD, context, {});
    ((actual.y_TD * weight_TD).sum() + actual.balance_loss).backward();
    const auto gradients = take_gradients(layer, x_TD);

    const auto twin = naive_moe(layer, config_, x_TD, context.layout.sequence_T);
    const auto twin_balance = twin.balance_loss * (config_.balance.moe_aux_loss_coeff * 0.5);
    ((twin.y_TD * weight_TD).sum() + twin_balance).backward();
    const auto expected = take_gradients(layer, x_TD);

    EXPECT_TENSOR_NEAR(actual.y_TD * valid_T1, twin.y_TD * valid_T1, tolerance);
    EXPECT_TENSOR_NEAR(actual.balance_loss, twin_balance, tolerance);
    ASSERT_EQ(gradients.size(), expected.size());
    for (size_t i = 0; i < gradients.size(); ++i) EXPECT_TENSOR_NEAR(gradients[i], expected[i], tolerance);
  }

  static std::vector<at::Tensor> take_gradients(torch::nn::Module& layer, const at::Tensor& x_TD) {
    std::vector<at::Tensor> gradients{x_TD.grad().clone()};
    x_TD.mutable_grad().reset();
    for (auto& parameter : layer.parameters()) {
      gradients.push_back(parameter.grad().clone());
      parameter.mutable_grad().reset();
    }
    return gradients;
  }

  ModelConfig config_;
};

TEST_P(MoeAgainstTwin, ValuesBalanceLossAndEveryGradientInFp64) { compare(at::kDouble, 1e-10); }
TEST_P(MoeAgainstTwin, ValuesBalanceLossAndEveryGradientInFp32) { compare(at::kFloat, 2e-5); }

INSTANTIATE_TEST_SUITE_P(Systems, MoeAgainstTwin,
                         testing::Values(Case{"FineGrained", 8, 3, 1}, Case{"TwoShared", 16, 4, 2},
                                         Case{"Switch", 4, 1, 0}, Case{"GShard", 4, 2, 0},
                                         Case{"EveryExpert", 4, 4, 0}, Case{"MoreExpertsThanChoices", 64, 1, 1},
                                         Case{"Sigmoid", 8, 3, 1, "sigmoid"}, Case{"Normalised", 8, 3, 1, "softmax", true},
                                         Case{"SigmoidNormalised", 8, 2, 0, "sigmoid", true}),
                         [](const auto& info) { return info.param.name; });

TEST(Moe, GradientsMatchCentralDifferences) {
  const auto config = small_config();
  Moe layer(config, alone(), at::kDouble, at::kDouble);
  fill_from_seed(layer, 5);
  const ForwardContext context{SequenceLayout::rows(2, 3), 0.5};
  const auto x_TD = at::randn({6, config.hidden_size}, at::kDouble).requires_grad_();
  const auto weight_TD = at::randn_like(x_TD);
  const auto objective = [&] {
    const auto output = layer.forward(x_TD, context, {});
    return (output.y_TD * weight_TD).sum() + output.balance_loss;
  };
  objective().backward();

  at::NoGradGuard no_grad;
  auto tensors = layer.parameters();
  tensors.push_back(x_TD);
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
  const auto output = layer.forward(at::randn({6, config.hidden_size}), {SequenceLayout::rows(1, 6), 1.0}, {});
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
  const auto output = layer.forward(x_TD, {SequenceLayout::rows(1, 6), 1.0}, {});
  EXPECT_FALSE(output.balance_loss.defined());
  EXPECT_EQ(layer.named_parameters()["shared_experts.gate_proj.weight"].size(1), 4 * config.moe_intermediate_size);
  EXPECT_TENSOR_NEAR(output.y_TD, naive_moe(layer, config, x_TD, at::full({6}, -1, at::kLong)).y_TD, 1e-5);
}

}  // namespace
}  // namespace granule
