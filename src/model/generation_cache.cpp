#include "model/generation_cache.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/check.h"

namespace granule {

GenerationCache::GenerationCache(const ModelConfig& config, int64_t num_rows, int64_t capacity,
                                 at::TensorOptions options)
    : capacity_(capacity), length_R_(static_cast<size_t>(num_rows), 0) {
  // What was never written is multiplied by weights of zero, so it must be finite.
  const auto empty = [&] {
    return at::zeros({num_rows, capacity, config.num_key_value_heads_used(), config.head_dim_used()},
                     options);
  };
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) layers_.push_back({empty(), empty()});
}

CacheStep GenerationCache::extend(std::span<const int64_t> count_B, int64_t num_columns) {
  const int64_t B = num_rows();
  CHECK(static_cast<int64_t>(count_B.size()) == B, "counts of ", count_B.size(), " rows for ", B);
  std::vector<int64_t> token, row, position, last;
  CacheStep step;
  step.layout = SequenceLayout::rows(B, num_columns);
  auto* position_BS = step.layout.position_BS.mutable_data_ptr<int64_t>();
  auto* valid_T = step.layout.valid_T.mutable_data_ptr<bool>();
  for (int64_t b = 0; b < B; ++b) {
    auto& length = length_R_[static_cast<size_t>(b)];
    const int64_t count = count_B[static_cast<size_t>(b)];
    CHECK(count > 0 && count <= num_columns && length + count <= capacity_, "row of ", length, " and ", count,
          " more tokens, capacity ", capacity_);
    for (int64_t s = 0; s < num_columns; ++s) {
      const int64_t t = b * num_columns + s;
      position_BS[t] = length + s;
      valid_T[t] = s < count;
      if (s >= count) continue;
      token.push_back(t);
      row.push_back(b);
      position.push_back(length + s);
    }
    last.push_back(b * num_columns + count - 1);
    length += count;
  }
  step.layout.end_position = step.layout.position_BS.max().item<int64_t>() + 1;
  step.layout.sequence_T.masked_fill_(~step.layout.valid_T, -1);
  step.token_N = at::tensor(token, at::kLong);
  step.row_N = at::tensor(row, at::kLong);
  step.position_N = at::tensor(position, at::kLong);
  step.last_B = at::tensor(last, at::kLong);
  const int64_t P = *std::max_element(length_R_.begin(), length_R_.end());
  step.sees_B1SP = at::arange(P, at::kLong).le(step.layout.position_BS.unsqueeze(2)).unsqueeze(1);
  const auto device = layers_[0].key_RPGd.device();
  step.layout = step.layout.to(device);
  for (auto* tensor : {&step.token_N, &step.row_N, &step.position_N, &step.sees_B1SP, &step.last_B}) {
    *tensor = tensor->to(device);
  }
  return step;
}

KeyValueCache GenerationCache::append(int64_t layer, const CacheStep& step, const at::Tensor& key_BSGd,
                                      const at::Tensor& value_BSGd) {
  auto& cache = layers_[static_cast<size_t>(layer)];
  const auto put = [&](at::Tensor& cached_RPGd, const at::Tensor& new_BSGd) {
    cached_RPGd.index_put_({step.row_N, step.position_N},
                           new_BSGd.flatten(0, 1).index_select(0, step.token_N));
    return cached_RPGd.narrow(0, 0, num_rows()).narrow(1, 0, step.sees_B1SP.size(3));
  };
  return {put(cache.key_RPGd, key_BSGd), put(cache.value_RPGd, value_BSGd)};
}

void GenerationCache::shorten(int64_t row, int64_t length) {
  CHECK(length >= 0 && length <= this->length(row), "row of ", this->length(row), " shortened to ", length);
  length_R_[static_cast<size_t>(row)] = length;
}

void GenerationCache::remove(int64_t row) {
  CHECK(row >= 0 && row < num_rows(), "row ", row, " of ", num_rows());
  const int64_t last = num_rows() - 1;
  const int64_t length = this->length(last);
  if (row != last) {
    for (auto& cache : layers_) {
      for (auto& cached_RPGd : {cache.key_RPGd, cache.value_RPGd}) {
        cached_RPGd[row].narrow(0, 0, length).copy_(cached_RPGd[last].narrow(0, 0, length));
      }
    }
  }
  length_R_[static_cast<size_t>(row)] = length;
  length_R_.pop_back();
}

}  // namespace granule
