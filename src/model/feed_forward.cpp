#include "model/feed_forward.h"

#include <ATen/ATen.h>

namespace granule {

namespace {

// Gives a stack of matrices the name "<name>.weight" that Hugging Face's models use.
class MatrixStack : public torch::nn::Module {
 public:
  MatrixStack(at::IntArrayRef shape, at::TensorOptions options) {
    weight = register_parameter("weight", at::empty(shape, options));
  }
  at::Tensor weight;
};

}  // namespace

FeedForward::FeedForward(int64_t num_experts, int64_t hidden_size, int64_t inner_size, at::TensorOptions options) {
  const auto add = [&](const char* name, int64_t out, int64_t in) {
    return register_module(name, std::make_shared<MatrixStack>(at::IntArrayRef{num_experts, out, in}, options))->weight;
  };
  weights_.gate_eFD = add("gate_proj", inner_size, hidden_size);
  weights_.up_eFD = add("up_proj", inner_size, hidden_size);
  weights_.down_eDF = add("down_proj", hidden_size, inner_size);
}

at::Tensor FeedForward::forward(const at::Tensor& x_TD, const RowOrder& order) const {
  return expert_mlp(x_TD, order, weights_);
}

at::Tensor FeedForward::forward(const at::Tensor& x_TD) const {
  const auto row_N = at::arange(x_TD.size(0), x_TD.options().dtype(at::kLong).requires_grad(false));
  return forward(x_TD, {row_N, row_N.unsqueeze(1), {x_TD.size(0)}});
}

}  // namespace granule
