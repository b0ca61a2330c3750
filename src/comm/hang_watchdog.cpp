#include "comm/hang_watchdog.h"

#include <algorithm>
#include <iomanip>

#include "base/check.h"

namespace granule {

namespace {

using std::chrono::milliseconds;

constexpr int kTicksPerTimeout = 10;

double seconds_between(std::chrono::steady_clock::time_point begin,
                       std::chrono::steady_clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

std::string hang_text(const CollectiveRecord& hanging, const std::vector<CollectiveRecord>& finished) {
  const auto now = std::chrono::steady_clock::now();
  std::ostringstream text;
  text << std::fixed << std::setprecision(1);
  text << "waits for other ranks in " << describe(hanging) << ", since "
       << seconds_between(hanging.begun, now)
       << " s; a rank is dead, stopped, too slow or in another collective.";
  if (finished.empty())
    text << " It was the first collective.";
  else
    text << " Finished before it:";
  for (const auto& record : finished) {
    text << "\n  " << describe(record) << ", " << seconds_between(record.ended, now) << " s ago";
  }
  return text.str();
}

}  // namespace

HangWatchdog::HangWatchdog(std::shared_ptr<CollectiveLog> log, milliseconds timeout,
                           std::function<void(const std::string&)> on_hang)
    : log_(std::move(log)), timeout_(timeout), on_hang_(std::move(on_hang)), thread_([this] { watch(); }) {}

HangWatchdog::~HangWatchdog() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  stop_requested_.notify_all();
  thread_.join();
}

// Waiting is counted in ticks of this thread rather than by the clock: a process that was suspended and
// resumed has not ticked meanwhile.
void HangWatchdog::watch() {
  const auto tick = std::max(milliseconds(1), timeout_ / kTicksPerTimeout);
  int64_t watched_id = -1;
  int num_ticks = 0;
  std::unique_lock lock(mutex_);
  while (!stop_requested_.wait_for(lock, tick, [this] { return stop_; })) {
    const auto oldest = log_->oldest_in_progress();
    const auto id = oldest ? oldest->id : -1;
    num_ticks = id == watched_id ? num_ticks + 1 : 0;
    watched_id = id;
    if (!oldest || num_ticks < kTicksPerTimeout * patience_) continue;
    on_hang_(hang_text(*oldest, log_->finished()));
    return;
  }
}

}  // namespace granule
