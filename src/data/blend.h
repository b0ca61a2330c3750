#pragma once
// Which data set the i-th sample comes from, so that at every i each has had its share (Megatron's rule: the
// largest weight * max(i, 1) - samples taken so far, ties to the lowest).

#include <cstddef>
#include <cstdint>
#include <vector>

namespace granule {

class Blend {
 public:
  struct Choice {
    size_t source;
    int64_t index;  ///< samples taken from it before
  };

  /// Weights are positive and need not sum to 1.
  explicit Blend(std::vector<double> weights);

  /// Cheap from one index to a later one near it; any other costs a replay of at most kSnapshotEvery choices,
  /// after the first visit of that stretch.
  Choice at(int64_t index);

 private:
  static constexpr int64_t kSnapshotEvery = 1 << 16;

  size_t choose() const;
  void advance();
  void rewind_to(int64_t index);

  std::vector<double> weights_;
  int64_t next_ = 0;
  std::vector<int64_t> taken_;
  std::vector<std::vector<int64_t>> snapshots_;  // `taken_` at each multiple of kSnapshotEvery
};

}  // namespace granule
