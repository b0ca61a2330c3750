#include "tests/support/gradient_check.h"

#include <ATen/ATen.h>

#include <cmath>

namespace granule {

testing::AssertionResult gradients_match(
    const std::function<at::Tensor(const std::vector<at::Tensor>&)>& function,
    const std::vector<at::Tensor>& inputs, double tolerance) {
  constexpr double kStep = 1e-5;
  std::vector<at::Tensor> leaves;
  for (const auto& input : inputs) leaves.push_back(input.detach().clone().set_requires_grad(true));
  const auto result = function(leaves);
  const auto weight = at::randn_like(result.detach());
  (result * weight).sum().backward();

  const at::NoGradGuard no_gradients;
  const auto value = [&] { return (function(leaves) * weight).sum().item<double>(); };
  for (size_t n = 0; n < leaves.size(); ++n) {
    auto flat = leaves[n].view(-1);
    for (int64_t i = 0; i < flat.numel(); ++i) {
      auto& element = flat.mutable_data_ptr<double>()[i];
      const double kept = element;
      element = kept + kStep;
      const double above = value();
      element = kept - kStep;
      const double below = value();
      element = kept;
      const double expected = (above - below) / (2 * kStep);
      const auto grad = leaves[n].grad();
      const double actual = grad.defined() ? grad.contiguous().view(-1)[i].item<double>() : 0;
      if (!(std::abs(actual - expected) <= tolerance * std::max(1.0, std::abs(expected)))) {
        return testing::AssertionFailure() << "input " << n << ", element " << i << ": backward gives "
                                           << actual << ", differences give " << expected;
      }
    }
  }
  return testing::AssertionSuccess();
}

}  // namespace granule
