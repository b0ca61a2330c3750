#include "model/selection_bias.h"

#include <ATen/ATen.h>

#include "base/check.h"

namespace granule {

void update_selection_bias(const torch::nn::Module& model, const std::vector<RoutingStatistics>& routing,
                           double rate) {
  const at::NoGradGuard no_grad;
  size_t layer = 0;
  for (const auto& item : model.named_parameters()) {
    if (!item.key().ends_with(kSelectionBias)) continue;
    CHECK(layer < routing.size(), item.key(), " without counts");
    const auto chosen_E = routing[layer++].chosen_E();
    // In integers, so that equal to the mean is exactly equal.
    const auto sign_E = at::sign(chosen_E.sum() - chosen_E * chosen_E.numel());
    auto bias_E = item.value();
    bias_E.add_(sign_E.to(bias_E.options()), rate);
  }
  CHECK(layer == 0 || layer == routing.size(), "counts of ", routing.size(), " layers for ", layer,
        " biases");
}

}  // namespace granule
