#include "data/epoch_order.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"
#include "base/random.h"

namespace granule {

std::vector<int64_t> shuffled_order(uint64_t seed, const std::string& name, int64_t count) {
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), int64_t{0});
  const RandomStream stream(seed, name);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[stream.below(i, i)]);
  return order;
}

EpochOrder::EpochOrder(const TokenFile& file, int64_t seq_length, uint64_t seed, const std::string& name,
                       int64_t epoch)
    : file_(file),
      seq_length_(seq_length),
      documents_(shuffled_order(seed, join_text(name, "/epoch/", epoch, "/documents"), file.num_documents())),
      samples_(shuffled_order(seed, join_text(name, "/epoch/", epoch, "/samples"),
                              num_samples(file, seq_length))) {
  document_end_.reserve(documents_.size());
  int64_t end = 0;
  for (const auto document : documents_) document_end_.push_back(end += file.document_length(document));
}

int64_t EpochOrder::num_samples(const TokenFile& file, int64_t seq_length) {
  return std::max<int64_t>(file.num_tokens() - 1, 0) / seq_length;
}

std::vector<TokenRange> EpochOrder::sample(int64_t index) const {
  CHECK(0 <= index && index < static_cast<int64_t>(samples_.size()), "sample ", index, " of ",
        samples_.size());
  int64_t position = samples_[static_cast<size_t>(index)] * seq_length_;
  int64_t wanted = seq_length_ + 1;
  auto end = std::upper_bound(document_end_.begin(), document_end_.end(), position);
  std::vector<TokenRange> ranges;
  for (; wanted > 0; ++end) {
    const auto document = documents_[static_cast<size_t>(end - document_end_.begin())];
    const int64_t count = std::min(wanted, *end - position);
    if (count == 0) continue;
    ranges.push_back({file_.document_begin(document + 1) - (*end - position), count, document});
    position += count;
    wanted -= count;
  }
  return ranges;
}

}  // namespace granule
