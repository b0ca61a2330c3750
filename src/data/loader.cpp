#include "data/loader.h"

#include <ATen/ops/empty.h>

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
  const auto joined_BS = at::empty({num_rows, S + 1}, at::kLong);
  Batch batch;
  batch.loss_mask_BS = at::empty({num_rows, S}, at::kBool);
  batch.segment_BS = at::empty({num_rows, S}, at::kLong);
  for (int64_t row = 0; row < num_rows; ++row) {
    const SampleRow sample{joined_BS.mutable_data_ptr<int64_t>() + row * (S + 1),
                           batch.loss_mask_BS.mutable_data_ptr<bool>() + row * S,
                           batch.segment_BS.mutable_data_ptr<int64_t>() + row * S};
    const int64_t index = step * global_batch_size_ + first_row + row;
    if (index < source_->num_samples())
      source_->read(index, sample);
    else
      pad_row(S, sample);
  }
  batch.token_BS = joined_BS.narrow(1, 0, S).contiguous();
  batch.label_BS = joined_BS.narrow(1, 1, S).contiguous();
  return batch;
}

}  // namespace granule
