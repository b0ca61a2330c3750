#pragma once
// Gradients of autograd against central differences, in fp64.

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <functional>
#include <vector>

namespace granule {

/// `function` maps the fp64 `inputs` to a tensor. Its product with a fixed random tensor is differentiated by
/// every element of every input both ways; they must agree within `tolerance` * max(1, |gradient|).
testing::AssertionResult gradients_match(
    const std::function<at::Tensor(const std::vector<at::Tensor>&)>& function,
    const std::vector<at::Tensor>& inputs, double tolerance = 1e-6);

}  // namespace granule
