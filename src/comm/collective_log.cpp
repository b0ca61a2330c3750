#include "comm/collective_log.h"

#include <algorithm>

#include "base/check.h"

namespace granule {

std::string describe(const CollectiveRecord& record) {
  const auto step = record.step > 0 ? join_text(", step ", record.step) : "";
  return join_text(record.verb, " #", record.sequence, " of group ", record.group, ", ", record.bytes,
                   " bytes", step);
}

CollectiveLog::Entry CollectiveLog::enter(const char* verb, const std::string& group, int64_t sequence,
                                          int64_t bytes) {
  const std::lock_guard lock(mutex_);
  finish_done();
  const auto id = next_id_++;
  in_progress_.push_back(
      {{id, sequence, verb, group, bytes, step_, std::chrono::steady_clock::now(), {}}, nullptr});
  return Entry(this, id);
}

void CollectiveLog::set_step(int64_t step) {
  const std::lock_guard lock(mutex_);
  step_ = step;
}

void CollectiveLog::leave(int64_t id) {
  const std::lock_guard lock(mutex_);
  finish(find(id));
}

void CollectiveLog::await(int64_t id, std::function<bool()> is_done) {
  const std::lock_guard lock(mutex_);
  find(id)->is_done = std::move(is_done);
}

std::deque<CollectiveLog::InProgress>::iterator CollectiveLog::find(int64_t id) {
  return std::find_if(in_progress_.begin(), in_progress_.end(),
                      [&](const InProgress& candidate) { return candidate.record.id == id; });
}

void CollectiveLog::finish(std::deque<InProgress>::iterator entry) {
  entry->record.ended = std::chrono::steady_clock::now();
  finished_.push_back(std::move(entry->record));
  in_progress_.erase(entry);
  if (finished_.size() > kKept) finished_.pop_front();
}

// A device does one collective after the other, so the first that is not done ends the search.
void CollectiveLog::finish_done() {
  while (!in_progress_.empty()) {
    const auto oldest = in_progress_.begin();
    if (!oldest->is_done || !oldest->is_done()) return;
    finish(oldest);
  }
}

std::optional<CollectiveRecord> CollectiveLog::oldest_in_progress() {
  const std::lock_guard lock(mutex_);
  finish_done();
  if (in_progress_.empty()) return std::nullopt;
  return in_progress_.front().record;
}

std::vector<CollectiveRecord> CollectiveLog::finished() const {
  const std::lock_guard lock(mutex_);
  return {finished_.begin(), finished_.end()};
}

}  // namespace granule
