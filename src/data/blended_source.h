#pragma once
// Endless samples from several data sets, each with its share.

#include <memory>
#include <vector>

#include "data/blend.h"
#include "data/sample_source.h"

namespace granule {

class BlendedSource : public SampleSource {
 public:
  /// One positive weight a source; sources are endless and of one length.
  BlendedSource(std::vector<std::unique_ptr<SampleSource>> sources, std::vector<double> weights);

  int64_t seq_length() const override { return sources_.front()->seq_length(); }
  int64_t num_samples() const override { return kEndless; }
  uint64_t fingerprint() const override;
  void read(int64_t index, const SampleRow& row) override;

 private:
  std::vector<std::unique_ptr<SampleSource>> sources_;
  Blend blend_;
};

}  // namespace granule
