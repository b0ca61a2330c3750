#pragma once
// Reads the batches of the coming steps while a step computes. Its thread touches files and host memory,
// nothing else.

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "data/loader.h"

namespace granule {

class Prefetcher {
 public:
  /// Prepares rows [first_row, first_row + num_rows) of steps from `first_step` on, at most `depth` ahead.
  Prefetcher(Loader loader, int64_t first_step, int64_t first_row, int64_t num_rows, int64_t depth = 2);
  ~Prefetcher();
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  /// The batch of the next step, waiting if need be; what went wrong in reading it is thrown here.
  Batch next();

 private:
  void run();

  Loader loader_;
  const int64_t first_step_;
  const int64_t first_row_;
  const int64_t num_rows_;
  const size_t depth_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Batch> ready_;
  std::exception_ptr failure_;
  bool stopping_ = false;
  std::thread thread_;  // last: it uses the rest
};

}  // namespace granule
