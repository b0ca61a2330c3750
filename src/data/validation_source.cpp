#include "data/validation_source.h"

#include <algorithm>

#include "base/check.h"

namespace granule {

namespace {

// The documents that tokens [begin, begin + count) of the file belong to, piece by piece.
std::vector<TokenRange> split_by_document(const TokenFile& file, int64_t begin, int64_t count) {
  // The last document that begins at or before `begin`.
  int64_t low = 0;
  int64_t high = file.num_documents();
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    (file.document_begin(middle) <= begin ? low : high) = middle;
  }
  std::vector<TokenRange> ranges;
  for (int64_t document = low; count > 0; ++document) {
    const int64_t piece = std::min(count, file.document_begin(document + 1) - begin);
    if (piece <= 0) continue;
    ranges.push_back({begin, piece, document});
    begin += piece;
    count -= piece;
  }
  return ranges;
}

}  // namespace

void pad_row(int64_t seq_length, const SampleRow& row) {
  std::fill_n(row.token, seq_length + 1, int64_t{0});
  std::fill_n(row.loss_mask, seq_length, false);
  std::fill_n(row.segment, seq_length, int64_t{-1});
}

ValidationSource::ValidationSource(std::vector<TokenFile> files, int64_t seq_length, int64_t max_samples,
                                   DocumentRule rule)
    : files_(std::move(files)), seq_length_(seq_length), rule_(rule) {
  int64_t end = 0;
  for (const auto& file : files_) {
    const int64_t num_labels = std::max<int64_t>(file.num_tokens() - 1, 0);
    end += (num_labels + seq_length - 1) / seq_length;
    sample_end_.push_back(end);
  }
  num_samples_ = std::min(end, max_samples);
}

void ValidationSource::read(int64_t index, const SampleRow& row) {
  CHECK(0 <= index && index < num_samples_, "sample ", index, " of ", num_samples_);
  // The product of two counts of samples may pass 64 bits.
  auto sample = static_cast<int64_t>(static_cast<__int128>(index) * sample_end_.back() / num_samples_);
  const auto end = std::upper_bound(sample_end_.begin(), sample_end_.end(), sample);
  const auto& file = files_[static_cast<size_t>(end - sample_end_.begin())];
  if (end != sample_end_.begin()) sample -= *(end - 1);

  const int64_t begin = sample * seq_length_;
  const int64_t count = std::min(seq_length_ + 1, file.num_tokens() - begin);
  if (count < seq_length_ + 1) pad_row(seq_length_, row);
  read_ranges(file, split_by_document(file, begin, count), rule_, row);
}

}  // namespace granule
