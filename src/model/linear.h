#pragma once
// A linear map without bias, weight in [out, in] layout.

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

namespace granule {

class Linear : public torch::nn::Module {
 public:
  Linear(int64_t in, int64_t out, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x) const;
  const at::Tensor& weight() const { return weight_; }

 private:
  at::Tensor weight_;
};

}  // namespace granule
