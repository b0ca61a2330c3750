#pragma once
// RMSNorm with its gain; the gain stays fp32 also when the model is bf16.

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

namespace granule {

class RmsNorm : public torch::nn::Module {
 public:
  RmsNorm(int64_t size, double eps, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x) const;

 private:
  double eps_;
  at::Tensor weight_D_;
};

}  // namespace granule
