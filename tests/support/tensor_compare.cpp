#include "tests/support/tensor_compare.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>
#include <string>

namespace granule {

namespace {

at::Tensor as_double(const at::Tensor& tensor) {
  return tensor.detach().to(at::kDouble).contiguous();
}

double difference(double actual, double expected) {
  if (actual == expected || (std::isnan(actual) && std::isnan(expected))) return 0;
  const double gap = std::abs(actual - expected);
  return std::isnan(gap) ? std::numeric_limits<double>::infinity() : gap;
}

std::string index_text(const at::Tensor& tensor, int64_t flat) {
  std::string text;
  for (int64_t dim = tensor.dim() - 1; dim >= 0; --dim) {
    text = (dim > 0 ? ", " : "") + std::to_string(flat % tensor.size(dim)) + text;
    flat /= tensor.size(dim);
  }
  return "[" + text + "]";
}

}  // namespace

double max_absolute_difference(const at::Tensor& actual, const at::Tensor& expected) {
  if (actual.sizes() != expected.sizes()) return std::numeric_limits<double>::infinity();
  const auto a = as_double(actual), b = as_double(expected);
  double worst = 0;
  for (int64_t i = 0; i < a.numel(); ++i) {
    worst = std::max(worst, difference(a.const_data_ptr<double>()[i], b.const_data_ptr<double>()[i]));
  }
  return worst;
}

double max_relative_difference(const at::Tensor& actual, const at::Tensor& expected) {
  const double largest = expected.numel() == 0 ? 0 : as_double(expected).abs().max().item<double>();
  return max_absolute_difference(actual, expected) / std::max(1e-30, largest);
}

testing::AssertionResult is_near(const char* actual_text, const char* expected_text,
                                 const char* /*tolerance_text*/, const at::Tensor& actual,
                                 const at::Tensor& expected, double tolerance) {
  for (const auto& [tensor, text] : {std::pair{&actual, actual_text}, std::pair{&expected, expected_text}}) {
    if (!tensor->defined()) return testing::AssertionFailure() << text << " is undefined";
  }
  if (actual.sizes() != expected.sizes()) {
    return testing::AssertionFailure() << actual_text << " has shape " << actual.sizes() << ", "
                                       << expected_text << " has " << expected.sizes();
  }
  const auto a = as_double(actual), b = as_double(expected);
  double worst = -1;
  int64_t place = 0;
  for (int64_t i = 0; i < a.numel(); ++i) {
    const double wanted = b.const_data_ptr<double>()[i];
    double gap = difference(a.const_data_ptr<double>()[i], wanted);
    if (std::isfinite(gap)) gap /= std::max(1.0, std::abs(wanted));
    if (gap > worst) {
      worst = gap;
      place = i;
    }
  }
  if (worst <= tolerance) return testing::AssertionSuccess();
  return testing::AssertionFailure() << actual_text << index_text(actual, place) << " = "
                                     << a.const_data_ptr<double>()[place] << ", " << expected_text << " = "
                                     << b.const_data_ptr<double>()[place] << ": off by " << worst
                                     << ", allowed " << tolerance;
}

}  // namespace granule
