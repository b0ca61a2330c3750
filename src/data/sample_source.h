#pragma once
// A numbered row of samples. What sample i holds depends on i and the source's construction alone, so every
// rank and every resumed run sees the same, and there is no state to save.

#include <cstdint>
#include <limits>

namespace granule {

/// Where a sample goes: views into the rows of a batch. All S + 1 tokens, masks and segments of the first S.
struct SampleRow {
  int64_t* token;    ///< S + 1 ids; the last S are the labels of the first S
  bool* loss_mask;   ///< S: the label counts
  int64_t* segment;  ///< S: equal neighbours attend to one another, -1 = padding
};

class SampleSource {
 public:
  static constexpr int64_t kEndless = std::numeric_limits<int64_t>::max();

  SampleSource() = default;
  virtual ~SampleSource() = default;
  SampleSource(const SampleSource&) = delete;
  SampleSource& operator=(const SampleSource&) = delete;

  virtual int64_t seq_length() const = 0;
  /// kEndless if samples go on for ever.
  virtual int64_t num_samples() const = 0;
  /// Of the data and how they are cut into samples, not of the order these come in: another number wherever a
  /// run would not find behind its next index what it left there. 0 if no run goes on from it.
  virtual uint64_t fingerprint() const { return 0; }
  /// Fills all of `row`; 0 <= index < num_samples(). Not for several threads at once: orders are cached.
  virtual void read(int64_t index, const SampleRow& row) = 0;
};

}  // namespace granule
