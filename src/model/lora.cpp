#include "model/lora.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "base/check.h"
#include "base/random.h"
#include "model/initialize.h"
#include "ops/grouped_linear.h"

namespace granule {

namespace {

std::vector<int64_t> with_last_two(at::IntArrayRef shape, int64_t rows, int64_t columns) {
  auto sizes = shape.vec();
  sizes[sizes.size() - 2] = rows;
  sizes[sizes.size() - 1] = columns;
  return sizes;
}

}  // namespace

AdaptableMatrix::AdaptableMatrix(at::IntArrayRef shape, at::TensorOptions options) {
  weight_ = register_parameter("weight", at::empty(shape, options));
}

void AdaptableMatrix::adapt(const LoraConfig& config, uint64_t seed, const std::string& name) {
  CHECK(!is_adapted(), name, " has an adapter already");
  const auto shape = weight_.sizes();
  const auto options = weight_.options().requires_grad(false);
  lora_a_ = register_module("lora_A", std::make_shared<AdaptableMatrix>(
                                          with_last_two(shape, config.rank, weight_.size(-1)), options));
  lora_b_ = register_module("lora_B", std::make_shared<AdaptableMatrix>(
                                          with_last_two(shape, weight_.size(-2), config.rank), options));
  scale_ = config.scale();
  dropout_ = config.dropout;
  seed_ = seed;
  name_ = name;
}

at::Tensor AdaptableMatrix::delta(const at::Tensor& x_NI, const std::vector<int64_t>& end_G,
                                  const std::optional<BatchPlace>& place) const {
  const bool drops = place && dropout_ > 0;
  const auto kept_NI = drops ? x_NI.masked_fill(dropped(x_NI, *place), 0) : x_NI;
  // What is kept counts for what is dropped; on the narrow rows, where a bf16 factor costs no precision.
  const double scale = drops ? scale_ / (1 - dropout_) : scale_;
  return grouped_linear(grouped_linear(kept_NI, lora_a_->weight(), end_G) * scale, lora_b_->weight(), end_G);
}

at::Tensor AdaptableMatrix::forward(const at::Tensor& x_NI, const std::vector<int64_t>& end_G,
                                    const std::optional<BatchPlace>& place) const {
  const auto y_NO = grouped_linear(x_NI, weight_, end_G);
  return is_adapted() ? y_NO + delta(x_NI, end_G, place) : y_NO;
}

at::Tensor AdaptableMatrix::dropped(const at::Tensor& x_NI, const BatchPlace& place) const {
  // Rows of routed experts come from any rank and in any number; all others are tokens of this rank's rows.
  const bool travel = is_routed(name_);
  const RandomStream stream(seed_, travel ? join_text("dropout/", place.step, "/", name_, "/", place.first_token)
                                          : join_text("dropout/", place.step, "/", name_));
  const int64_t first = travel ? 0 : place.first_token * x_NI.size(1);
  auto dropped_NI = at::empty(x_NI.sizes(), at::kBool);
  auto* drop = dropped_NI.mutable_data_ptr<bool>();
  at::parallel_for(0, x_NI.numel(), 1 << 14, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      drop[i] = stream.uniform(static_cast<uint64_t>(first + i)) < dropout_;
    }
  });
  return dropped_NI.to(x_NI.device());
}

void add_adapters(torch::nn::Module& model, const LoraConfig& config, uint64_t seed) {
  for (auto& parameter : model.parameters()) parameter.requires_grad_(false);
  for (const auto& item : model.named_modules("", /*include_self=*/false)) {
    const auto& targets = config.target_modules;
    const auto last = item.key().substr(item.key().rfind('.') + 1);
    if (std::find(targets.begin(), targets.end(), last) == targets.end()) continue;
    auto* matrix = item.value()->as<AdaptableMatrix>();
    CHECK(matrix != nullptr, item.key(), " is no matrix");
    matrix->adapt(config, seed, item.key());
  }
}

SplitParameters split_adapters(const std::vector<PlacedParameter>& parameters) {
  SplitParameters split;
  for (const auto& parameter : parameters) {
    (is_adapter(parameter.pieces.front().name) ? split.adapters : split.base).push_back(parameter);
  }
  return split;
}

std::vector<PlacedParameter> trained_parameters(const std::vector<PlacedParameter>& parameters) {
  auto split = split_adapters(parameters);
  return split.adapters.empty() ? std::move(split.base) : std::move(split.adapters);
}

}  // namespace granule
