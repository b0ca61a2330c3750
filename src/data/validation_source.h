#pragma once
// Token files from front to back without shuffling: every token but a file's first is the label of exactly
// one sample.

#include <vector>

#include "data/pretraining_source.h"
#include "data/sample_source.h"
#include "data/token_file.h"

namespace granule {

class ValidationSource : public SampleSource {
 public:
  /// With more than `max_samples` samples, that many are taken, evenly spread and always the same ones.
  ValidationSource(std::vector<TokenFile> files, int64_t seq_length, int64_t max_samples = kEndless,
                   DocumentRule rule = {});

  int64_t seq_length() const override { return seq_length_; }
  int64_t num_samples() const override { return num_samples_; }
  /// A file's last sample may be shorter: the rest of its row is padding (id 0, no loss, segment -1).
  void read(int64_t index, const SampleRow& row) override;

 private:
  std::vector<TokenFile> files_;
  int64_t seq_length_;
  DocumentRule rule_;
  std::vector<int64_t> sample_end_;  // of each file, among all samples
  int64_t num_samples_ = 0;
};

/// Fills all of `row` with padding.
void pad_row(int64_t seq_length, const SampleRow& row);

}  // namespace granule
