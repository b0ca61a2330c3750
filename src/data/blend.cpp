#include "data/blend.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"

namespace granule {

Blend::Blend(std::vector<double> weights) : weights_(std::move(weights)), taken_(weights_.size(), 0) {
  CHECK(!weights_.empty());
  const double sum = std::accumulate(weights_.begin(), weights_.end(), 0.0);
  for (auto& weight : weights_) {
    CHECK(weight > 0, "weight ", weight);
    weight /= sum;
  }
  snapshots_.push_back(taken_);
}

Blend::Choice Blend::at(int64_t index) {
  CHECK(index >= 0, "sample ", index);
  rewind_to(index);
  while (next_ < index) advance();
  const size_t source = choose();
  return {source, taken_[source]};
}

void Blend::rewind_to(int64_t index) {
  const auto snapshot =
      std::min<int64_t>(index / kSnapshotEvery, static_cast<int64_t>(snapshots_.size()) - 1);
  const int64_t start = snapshot * kSnapshotEvery;
  if (next_ <= index && next_ >= start) return;
  next_ = start;
  taken_ = snapshots_[static_cast<size_t>(snapshot)];
}

size_t Blend::choose() const {
  const auto seen = static_cast<double>(std::max<int64_t>(next_, 1));
  size_t best = 0;
  double largest = weights_[0] * seen - static_cast<double>(taken_[0]);
  for (size_t source = 1; source < weights_.size(); ++source) {
    const double deficit = weights_[source] * seen - static_cast<double>(taken_[source]);
    if (deficit > largest) {
      largest = deficit;
      best = source;
    }
  }
  return best;
}

void Blend::advance() {
  ++taken_[choose()];
  ++next_;
  if (next_ == static_cast<int64_t>(snapshots_.size()) * kSnapshotEvery) snapshots_.push_back(taken_);
}

}  // namespace granule
