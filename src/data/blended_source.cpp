#include "data/blended_source.h"

#include "base/check.h"
#include "base/hash.h"

namespace granule {

BlendedSource::BlendedSource(std::vector<std::unique_ptr<SampleSource>> sources, std::vector<double> weights)
    : sources_(std::move(sources)), blend_(std::move(weights)) {
  for (const auto& source : sources_) {
    CHECK(source->num_samples() == kEndless && source->seq_length() == seq_length());
  }
}

uint64_t BlendedSource::fingerprint() const {
  Hasher hasher;
  for (const auto& source : sources_) {
    const uint64_t one = source->fingerprint();
    hasher.update(&one, sizeof(one));
  }
  return hasher.digest();
}

void BlendedSource::read(int64_t index, const SampleRow& row) {
  const auto [source, sample] = blend_.at(index);
  sources_[source]->read(sample, row);
}

}  // namespace granule
