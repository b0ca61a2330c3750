#include "model/merged_lora.h"

#include <algorithm>

#include "base/check.h"
#include "base/text.h"
#include "model/lora.h"

namespace granule {

namespace {

constexpr std::string_view kWeight = ".weight";

// "x.q_proj" of "x.q_proj.weight" or "x.q_proj.lora_A.weight".
std::string without(const std::string& name, std::string_view ending) {
  return name.substr(0, name.size() - ending.size());
}

std::vector<float> read(const ParameterSource& source, const std::string& name, int64_t begin, int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  source.read_values(name, begin, values);
  return values;
}

void check_adapter(const ParameterSource& base, const ParameterSource& adapters, const std::string& name) {
  if (!is_adapter(name)) throw InputError(adapters.path(), "holds ", name, ", which is no adapter");
  const bool is_a = name.ends_with(kLoraA);
  const auto matrix = without(name, is_a ? kLoraA : kLoraB);
  const auto* shape = base.find_shape(matrix + std::string(kWeight));
  if (shape == nullptr || shape->size() != 2) {
    throw InputError(adapters.path(), "adapts ", matrix, ".weight, a matrix that its base ", base.path(),
                     " does not have");
  }
  const auto* adapter = adapters.find_shape(name);
  if (is_a) {
    check_parameter(adapters, name, {adapter->front(), shape->at(1)});
    check_parameter(adapters, matrix + std::string(kLoraB), {shape->at(0), adapter->front()});
  } else {
    check_parameter(adapters, matrix + std::string(kLoraA), {adapter->back(), shape->at(1)});
  }
}

}  // namespace

bool holds_adapters(const ParameterSource& source) {
  return std::ranges::any_of(source.parameter_names(), is_adapter);
}

MergedLora::MergedLora(std::unique_ptr<ParameterSource> base, std::unique_ptr<ParameterSource> adapters,
                       double scale)
    : base_(std::move(base)), adapters_(std::move(adapters)), scale_(scale) {
  for (const auto& name : adapters_->parameter_names()) check_adapter(*base_, *adapters_, name);
}

void MergedLora::read_values(const std::string& name, int64_t begin, std::span<float> values) const {
  base_->read_values(name, begin, values);
  if (values.empty() || !name.ends_with(kWeight)) return;
  const auto matrix = without(name, kWeight);
  const auto* shape = adapters_->find_shape(matrix + std::string(kLoraA));
  if (shape == nullptr) return;
  const int64_t rank = shape->at(0), columns = shape->at(1);
  const int64_t end = begin + static_cast<int64_t>(values.size());
  const int64_t first_row = begin / columns, end_row = (end + columns - 1) / columns;
  const auto a = read(*adapters_, matrix + std::string(kLoraA), 0, rank * columns);
  const auto b = read(*adapters_, matrix + std::string(kLoraB), first_row * rank, (end_row - first_row) * rank);
  for (int64_t row = first_row; row < end_row; ++row) {
    const int64_t from = std::max(begin, row * columns), to = std::min(end, (row + 1) * columns);
    auto* value = values.data() + (from - begin);
    for (int64_t k = 0; k < rank; ++k) {
      const auto factor = static_cast<float>(scale_) * b[static_cast<size_t>((row - first_row) * rank + k)];
      const auto* a_row = a.data() + k * columns + (from - row * columns);
      for (int64_t i = 0; i < to - from; ++i) value[i] += factor * a_row[i];
    }
  }
}

}  // namespace granule
