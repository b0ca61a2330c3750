#include "model/feed_forward.h"

#include <ATen/ATen.h>

#include "ops/expert_mlp.h"

namespace granule {

FeedForward::FeedForward(int64_t num_experts, int64_t hidden_size, int64_t inner_size, at::TensorOptions options) {
  const auto add = [&](const char* name, int64_t out, int64_t in) {
    return register_module(name,
                           std::make_shared<AdaptableMatrix>(at::IntArrayRef{num_experts, out, in}, options));
  };
  gate_ = add("gate_proj", inner_size, hidden_size);
  up_ = add("up_proj", inner_size, hidden_size);
  down_ = add("down_proj", hidden_size, inner_size);
}

bool FeedForward::is_adapted() const {
  return gate_->is_adapted() || up_->is_adapted() || down_->is_adapted();
}

at::Tensor FeedForward::forward(const at::Tensor& x_TD, const RowOrder& order, const at::Tensor& gate_N,
                                const std::optional<BatchPlace>& place) const {
  if (is_adapted()) return combine_rows(adapted(gather_rows(x_TD, order), order.end_G, gate_N, place), order);
  return expert_mlp(x_TD, order, gate_N, {gate_->weight(), up_->weight(), down_->weight()});
}

at::Tensor FeedForward::forward(const at::Tensor& x_TD, const std::optional<BatchPlace>& place) const {
  if (is_adapted()) return adapted(x_TD, {x_TD.size(0)}, {}, place);
  const auto row_N = at::arange(x_TD.size(0), x_TD.options().dtype(at::kLong).requires_grad(false));
  return forward(x_TD, {row_N, row_N.unsqueeze(1), {x_TD.size(0)}}, {}, place);
}

at::Tensor FeedForward::adapted(const at::Tensor& x_ND, const std::vector<int64_t>& end_G,
                                const at::Tensor& gate_N, const std::optional<BatchPlace>& place) const {
  const auto gate_NF = gate_->forward(x_ND, end_G, place);
  const auto up_NF = up_->forward(x_ND, end_G, place);
  const auto h_NF = at::silu(gate_NF) * up_NF;
  const auto weighed_NF = gate_N.defined() ? (h_NF * gate_N.unsqueeze(1)).to(h_NF.scalar_type()) : h_NF;
  return down_->forward(weighed_NF, end_G, place);
}

}  // namespace granule
