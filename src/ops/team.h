#pragma once
// The threads that work on one task together: a task of its own per thread, or all threads on one large task.

#include <cstdint>

namespace granule {

class Team {
 public:
  /// One thread alone.
  Team() = default;
  /// Thread `index` of the `size` threads of the enclosing OpenMP region.
  Team(int64_t index, int64_t size) : index_(index), size_(size) {}

  /// This thread's share of `count` items: [begin(count), end(count)).
  int64_t begin(int64_t count) const { return count * index_ / size_; }
  int64_t end(int64_t count) const { return count * (index_ + 1) / size_; }
  /// Waits for the others of the team.
  void barrier() const;

 private:
  int64_t index_ = 0;
  int64_t size_ = 1;
};

}  // namespace granule
