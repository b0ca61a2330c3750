#pragma once
// Endless samples of one token file, epoch after epoch in new orders.

#include <string>

#include "data/epoch_order.h"
#include "data/sample_source.h"
#include "data/token_file.h"

namespace granule {

/// How documents inside a sample are treated.
struct DocumentRule {
  bool keep_apart = false;        ///< each document is a segment of its own
  bool skip_first_token = false;  ///< a document's first token is no label that counts
};

/// Reads `ranges` one behind another into `row` and sets mask and segments by where documents meet.
void read_ranges(const TokenFile& file, const std::vector<TokenRange>& ranges, const DocumentRule& rule,
                 const SampleRow& row);

class PretrainingSource : public SampleSource {
 public:
  /// Throws InputError if the file has fewer than `seq_length` + 1 tokens. `name` tells the data sets of a
  /// run apart.
  PretrainingSource(TokenFile file, int64_t seq_length, uint64_t seed, std::string name,
                    DocumentRule rule = {});

  int64_t seq_length() const override { return seq_length_; }
  int64_t num_samples() const override { return kEndless; }
  uint64_t fingerprint() const override;
  void read(int64_t index, const SampleRow& row) override;

  int64_t num_tokens() const { return file_.num_tokens(); }

 private:
  TokenFile file_;
  int64_t seq_length_;
  uint64_t seed_;
  std::string name_;
  DocumentRule rule_;
  int64_t samples_per_epoch_;
  EpochCache<EpochOrder> orders_;
};

}  // namespace granule
