#include "data/pretraining_source.h"

#include <algorithm>

#include "base/check.h"
#include "base/hash.h"

namespace granule {

void read_ranges(const TokenFile& file, const std::vector<TokenRange>& ranges, const DocumentRule& rule,
                 const SampleRow& row) {
  int64_t num_tokens = 0;
  for (const auto& range : ranges) num_tokens += range.count;
  std::fill_n(row.loss_mask, num_tokens - 1, true);

  int64_t position = 0;
  int64_t segment = 0;
  for (const auto& range : ranges) {
    file.read(range.begin, range.count, row.token + position);
    if (position > 0 && rule.skip_first_token) row.loss_mask[position - 1] = false;
    // The last token of a sample is a label only.
    const int64_t num_inputs = std::min(range.count, num_tokens - 1 - position);
    std::fill_n(row.segment + position, num_inputs, segment);
    position += range.count;
    if (rule.keep_apart) ++segment;
  }
}

PretrainingSource::PretrainingSource(TokenFile file, int64_t seq_length, uint64_t seed, std::string name,
                                     DocumentRule rule)
    : file_(std::move(file)),
      seq_length_(seq_length),
      seed_(seed),
      name_(std::move(name)),
      rule_(rule),
      samples_per_epoch_(EpochOrder::num_samples(file_, seq_length)) {
  if (samples_per_epoch_ == 0) {
    throw InputError(file_.prefix(), "holds ", file_.num_tokens(), " tokens, one sample takes ",
                     seq_length + 1);
  }
}

// Orders are made of the documents' lengths alone; the first ids of some tell other text of the same lengths.
uint64_t PretrainingSource::fingerprint() const {
  constexpr int64_t kDocuments = 256, kTokens = 16;
  Hasher hasher;
  for (int64_t document = 0; document < file_.num_documents(); ++document) {
    const int64_t length = file_.document_length(document);
    hasher.update(&length, sizeof(length));
  }
  const int64_t step = std::max<int64_t>(1, file_.num_documents() / kDocuments);
  for (int64_t document = 0; document < file_.num_documents(); document += step) {
    std::vector<int64_t> ids(static_cast<size_t>(std::min(kTokens, file_.document_length(document))));
    file_.read(file_.document_begin(document), static_cast<int64_t>(ids.size()), ids.data());
    hasher.update(ids.data(), ids.size() * sizeof(int64_t));
  }
  return hasher.digest();
}

void PretrainingSource::read(int64_t index, const SampleRow& row) {
  CHECK(index >= 0, "sample ", index);
  const auto& order = orders_.at(index / samples_per_epoch_, [&](int64_t epoch) {
    return EpochOrder(file_, seq_length_, seed_, name_, epoch);
  });
  read_ranges(file_, order.sample(index % samples_per_epoch_), rule_, row);
}

}  // namespace granule
