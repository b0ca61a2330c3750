#pragma once
// Samples of packed conversations: each row holds whole examples that do not see one another.

#include "data/chat_examples.h"
#include "data/epoch_order.h"
#include "data/sample_source.h"

namespace granule {

/// Examples and which of them share a row.
class PackedChats {
 public:
  /// Rows of S + 1 = `seq_length` + 1 tokens; with `packing` as many examples each as fit, else one.
  PackedChats(ChatExamples examples, int64_t seq_length, bool packing);

  int64_t seq_length() const { return seq_length_; }
  int64_t num_rows() const { return static_cast<int64_t>(rows_.size()); }
  /// Share of the rows that is not padding.
  double fullness() const;
  /// Of all rows in order.
  uint64_t fingerprint() const;
  /// An example is a segment. Its last token is only the label of the one before: as an input it is padding,
  /// so that an example weighs the same in every row. The row's rest is padding: id 0, segment -1.
  void read(int64_t row, const SampleRow& sample) const;

 private:
  ChatExamples examples_;
  int64_t seq_length_;
  std::vector<std::vector<int64_t>> rows_;
};

/// Every row once an epoch, in an order that depends on (seed, epoch) alone.
class ChatTrainingSource : public SampleSource {
 public:
  /// `num_epochs` 0: endless.
  ChatTrainingSource(PackedChats chats, uint64_t seed, int64_t num_epochs);

  int64_t seq_length() const override { return chats_.seq_length(); }
  int64_t num_samples() const override;
  uint64_t fingerprint() const override { return chats_.fingerprint(); }
  void read(int64_t index, const SampleRow& row) override;

 private:
  PackedChats chats_;
  uint64_t seed_;
  int64_t num_epochs_;
  EpochCache<std::vector<int64_t>> orders_;
};

/// Rows in order; with more than `max_samples`, that many of them, evenly spread.
class ChatValidationSource : public SampleSource {
 public:
  explicit ChatValidationSource(PackedChats chats, int64_t max_samples = kEndless);

  int64_t seq_length() const override { return chats_.seq_length(); }
  int64_t num_samples() const override { return num_samples_; }
  void read(int64_t index, const SampleRow& row) override;

 private:
  PackedChats chats_;
  int64_t num_samples_;
};

}  // namespace granule
