#pragma once
// A thread that notices when a collective waits too long: a rank died without a word, was stopped, or the
// ranks are in different collectives. A blocked rank cannot say so itself.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "comm/collective_log.h"

namespace granule {

class HangWatchdog {
 public:
  /// Watches `log` until destroyed. Once a collective has been in progress for `timeout`, calls `on_hang`
  /// from the watching thread with a text that names it, the time waited and the collectives before it; then
  /// watches no more. Time in which the whole process was suspended does not count.
  HangWatchdog(std::shared_ptr<CollectiveLog> log, std::chrono::milliseconds timeout,
               std::function<void(const std::string&)> on_hang);
  ~HangWatchdog();
  HangWatchdog(const HangWatchdog&) = delete;
  HangWatchdog& operator=(const HangWatchdog&) = delete;

  /// Ten times the timeout from here on: for work that takes ranks very different times, as writing files.
  void set_patient(bool patient) { patience_ = patient ? 10 : 1; }

 private:
  void watch();

  const std::shared_ptr<CollectiveLog> log_;
  const std::chrono::milliseconds timeout_;
  const std::function<void(const std::string&)> on_hang_;
  std::atomic<int> patience_ = 1;
  std::mutex mutex_;
  std::condition_variable stop_requested_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace granule
