#include "comm/collective_log.h"

#include <algorithm>

#include "base/check.h"

namespace granule {

std::string describe(const CollectiveRecord& record) {
  return join_text(record.verb, " #", record.sequence, " of group ", record.group, ", ", record.bytes,
                   " bytes");
}

CollectiveLog::Entry CollectiveLog::enter(const char* verb, const std::string& group, int64_t sequence,
                                          int64_t bytes) {
  const std::lock_guard lock(mutex_);
  const auto id = next_id_++;
  in_progress_.push_back({id, sequence, verb, group, bytes, std::chrono::steady_clock::now(), {}});
  return Entry(this, id);
}

void CollectiveLog::leave(int64_t id) {
  const std::lock_guard lock(mutex_);
  const auto record = std::find_if(in_progress_.begin(), in_progress_.end(),
                                   [&](const CollectiveRecord& candidate) { return candidate.id == id; });
  record->ended = std::chrono::steady_clock::now();
  finished_.push_back(std::move(*record));
  in_progress_.erase(record);
  if (finished_.size() > kKept) finished_.pop_front();
}

std::optional<CollectiveRecord> CollectiveLog::oldest_in_progress() const {
  const std::lock_guard lock(mutex_);
  if (in_progress_.empty()) return std::nullopt;
  return in_progress_.front();
}

std::vector<CollectiveRecord> CollectiveLog::finished() const {
  const std::lock_guard lock(mutex_);
  return {finished_.begin(), finished_.end()};
}

}  // namespace granule
