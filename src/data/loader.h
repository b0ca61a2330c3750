#pragma once
// The batch of a step: a function of (source, step) alone, whoever reads which of its rows.

#include <cstdint>
#include <memory>

#include "data/batch.h"
#include "data/sample_source.h"

namespace granule {

class Loader {
 public:
  Loader(std::unique_ptr<SampleSource> source, int64_t global_batch_size);

  int64_t seq_length() const { return source_->seq_length(); }
  int64_t global_batch_size() const { return global_batch_size_; }
  /// Steps until every sample was read once; the last may end in rows of padding. kEndless for endless
  /// sources.
  int64_t num_steps() const;

  uint64_t fingerprint() const { return source_->fingerprint(); }

  /// From `step` on, batches go on from `sample`, whatever the batch size was before. At first step 0 begins
  /// with sample 0.
  void go_on_from(int64_t step, int64_t sample) { origin_ = sample - step * global_batch_size_; }

  /// Rows [first_row, first_row + num_rows) of the global batch of a step: row r is sample
  /// step * global_batch_size + r, unless the loader went on from another. Rows behind the last sample are
  /// padding.
  Batch load(int64_t step, int64_t first_row, int64_t num_rows);

 private:
  std::unique_ptr<SampleSource> source_;
  int64_t global_batch_size_;
  int64_t origin_ = 0;  // sample of step 0, were all batches of the present size
};

}  // namespace granule
