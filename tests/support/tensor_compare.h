#pragma once
// Comparison of tensors that names the worst element.

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

namespace granule {

/// max |actual - expected|, in double; infinite where only one of them is finite. Shapes must be equal.
double max_absolute_difference(const at::Tensor& actual, const at::Tensor& expected);

/// max |actual - expected| over max(1e-30, max |expected|): the error as a share of the largest value.
double max_relative_difference(const at::Tensor& actual, const at::Tensor& expected);

/// |actual - expected| <= tolerance * max(1, |expected|) for every element, whatever the two dtypes.
testing::AssertionResult is_near(const char* actual_text, const char* expected_text,
                                 const char* tolerance_text, const at::Tensor& actual,
                                 const at::Tensor& expected, double tolerance);

}  // namespace granule

#define EXPECT_TENSOR_NEAR(actual, expected, tolerance) \
  EXPECT_PRED_FORMAT3(::granule::is_near, actual, expected, tolerance)
