#pragma once
// A model and its adapters as one model: W + alpha / rank * B A, made while it is read.

#include <memory>

#include "model/parameter_source.h"

namespace granule {

/// Whether there are adapters among its parameters.
bool holds_adapters(const ParameterSource& source);

class MergedLora : public ParameterSource {
 public:
  /// `scale` is alpha / rank. Throws InputError for an adapter that fits no matrix of `base`.
  MergedLora(std::unique_ptr<ParameterSource> base, std::unique_ptr<ParameterSource> adapters, double scale);

  /// The adapters'.
  const std::string& path() const override { return adapters_->path(); }
  std::vector<std::string> parameter_names() const override { return base_->parameter_names(); }
  const std::vector<int64_t>* find_shape(const std::string& name) const override {
    return base_->find_shape(name);
  }
  void read_values(const std::string& name, int64_t begin, std::span<float> values) const override;

 private:
  std::unique_ptr<ParameterSource> base_, adapters_;
  double scale_;
};

}  // namespace granule
