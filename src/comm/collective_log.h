#pragma once
// What this rank's collectives are doing: those in progress and the last finished ones. The hang watchdog
// reads it from its own thread. A collective of a device goes on after the call that issued it has returned;
// the log asks whether it is done.

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace granule {

struct CollectiveRecord {
  int64_t id = 0;        ///< number within this rank's log
  int64_t sequence = 0;  ///< number within its group: the same on all ranks of the group
  std::string verb;      ///< "all_to_all_rows" ...
  std::string group;
  int64_t bytes = 0;  ///< that this rank contributes
  int64_t step = 0;   ///< of training; 0: before the first
  std::chrono::steady_clock::time_point begun;
  std::chrono::steady_clock::time_point ended;  ///< meaningless while in progress
};

/// "all_to_all_rows #17 of group expert, 4096 bytes, step 8"
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
    ~Entry() {
      if (log_ != nullptr) log_->leave(id_);
    }
    /// Issued, not done: in progress until `is_done` says so. It is called from any thread, under the log's
    /// lock, and must neither wait nor throw.
    void finish_when(std::function<bool()> is_done) {
      std::exchange(log_, nullptr)->await(id_, std::move(is_done));
    }

   private:
    CollectiveLog* log_;
    int64_t id_;
  };

  Entry enter(const char* verb, const std::string& group, int64_t sequence, int64_t bytes);

  /// Collectives from here on belong to this step of training.
  void set_step(int64_t step);

  /// The one in progress that began first.
  std::optional<CollectiveRecord> oldest_in_progress();
  /// The last `kKept` finished ones, oldest first.
  std::vector<CollectiveRecord> finished() const;

 private:
  struct InProgress {
    CollectiveRecord record;
    std::function<bool()> is_done;  // empty: the call has not returned
  };

  void leave(int64_t id);
  void await(int64_t id, std::function<bool()> is_done);
  std::deque<InProgress>::iterator find(int64_t id);
  void finish(std::deque<InProgress>::iterator entry);
  void finish_done();

  mutable std::mutex mutex_;
  int64_t next_id_ = 0;
  int64_t step_ = 0;
  std::deque<InProgress> in_progress_;  // in order of beginning
  std::deque<CollectiveRecord> finished_;
};

}  // namespace granule
