#include "data/prefetcher.h"

#include "base/check.h"

namespace granule {

Prefetcher::Prefetcher(Loader loader, int64_t first_step, int64_t first_row, int64_t num_rows, int64_t depth)
    : loader_(std::move(loader)),
      first_step_(first_step),
      first_row_(first_row),
      num_rows_(num_rows),
      depth_(static_cast<size_t>(depth)) {
  CHECK(depth > 0);
  thread_ = std::thread([this] { run(); });
}

Prefetcher::~Prefetcher() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Batch Prefetcher::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !ready_.empty() || failure_; });
  if (ready_.empty()) std::rethrow_exception(failure_);
  auto batch = std::move(ready_.front());
  ready_.pop_front();
  lock.unlock();
  changed_.notify_all();
  return batch;
}

void Prefetcher::run() {
  try {
    for (int64_t step = first_step_;; ++step) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return stopping_ || ready_.size() < depth_; });
        if (stopping_) return;
      }
      auto batch = loader_.load(step, first_row_, num_rows_);
      const std::lock_guard lock(mutex_);
      ready_.push_back(std::move(batch));
      changed_.notify_all();
    }
  } catch (...) {
    const std::lock_guard lock(mutex_);
    failure_ = std::current_exception();
    changed_.notify_all();
  }
}

}  // namespace granule
