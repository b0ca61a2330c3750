#pragma once
// What this rank's collectives are doing: those in progress and the last finished ones. The hang watchdog
// reads it from its own thread.

#include <chrono>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace granule {

struct CollectiveRecord {
  int64_t id = 0;        ///< number within this rank's log
  int64_t sequence = 0;  ///< number within its group: the same on all ranks of the group
  std::string verb;      ///< "all_to_all_rows" ...
  std::string group;
  int64_t bytes = 0;  ///< that this rank contributes
  std::chrono::steady_clock::time_point begun;
  std::chrono::steady_clock::time_point ended;  ///< meaningless while in progress
};

/// "all_to_all_rows #17 of group expert, 4096 bytes"
std::string describe(const CollectiveRecord& record);

class CollectiveLog {
 public:
  static constexpr size_t kKept = 16;

  /// Marks a collective as in progress for as long as it lives.
  class [[nodiscard]] Entry {
   public:
    Entry(CollectiveLog* log, int64_t id) : log_(log), id_(id) {}
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    ~Entry() { log_->leave(id_); }

   private:
    CollectiveLog* log_;
    int64_t id_;
  };

  Entry enter(const char* verb, const std::string& group, int64_t sequence, int64_t bytes);

  /// The one in progress that began first.
  std::optional<CollectiveRecord> oldest_in_progress() const;
  /// The last `kKept` finished ones, oldest first.
  std::vector<CollectiveRecord> finished() const;

 private:
  void leave(int64_t id);

  mutable std::mutex mutex_;
  int64_t next_id_ = 0;
  std::vector<CollectiveRecord> in_progress_;  // in order of beginning; seldom more than one
  std::deque<CollectiveRecord> finished_;
};

}  // namespace granule
