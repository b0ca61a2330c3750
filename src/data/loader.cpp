#include "data/loader.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "data/validation_source.h"

namespace granule {

Loader::Loader(std::unique_ptr<SampleSource> source, int64_t global_batch_size)
    : source_(std::move(source)), global_batch_size_(global_batch_size) {
  CHECK(global_batch_size > 0, "global batch of ", global_batch_size);
}

int64_t Loader::num_steps() const {
  const int64_t num_samples = source_->num_samples();
  if (num_samples == SampleSource::kEndless) return SampleSource::kEndless;
  return (num_samples + global_batch_size_ - 1) / global_batch_size_;
}

Batch Loader::load(int64_t step, int64_t first_row, int64_t num_rows) {
  CHECK(step >= 0 && first_row >= 0 && num_rows >= 0 && num_rows <= global_batch_size_ - first_row, "rows ",
        first_row, " and ", num_rows, " on, of step ", step, " with ", global_batch_size_);
  const int64_t S = seq_length();
  Batch batch{.token_BS = at::empty({num_rows, S}, at::kLong),
              .label_BS = at::empty({num_rows, S}, at::kLong),
              .loss_mask_BS = at::empty({num_rows, S}, at::kBool),
              .segment_BS = at::empty({num_rows, S}, at::kLong)};
  // Plain copies: an operator here could start a second team of threads beside the step's own.
  std::vector<int64_t> tokens(static_cast<size_t>(S) + 1);
  for (int64_t row = 0; row < num_rows; ++row) {
    const SampleRow sample{tokens.data(), batch.loss_mask_BS.mutable_data_ptr<bool>() + row * S,
                           batch.segment_BS.mutable_data_ptr<int64_t>() + row * S};
    const int64_t index = origin_ + step * global_batch_size_ + first_row + row;
    if (index < source_->num_samples()) {
      source_->read(index, sample);
    } else {
      pad_row(S, sample);
    }
    std::copy_n(tokens.data(), S, batch.token_BS.mutable_data_ptr<int64_t>() + row * S);
    std::copy_n(tokens.data() + 1, S, batch.label_BS.mutable_data_ptr<int64_t>() + row * S);
  }
  return batch;
}

}  // namespace granule
