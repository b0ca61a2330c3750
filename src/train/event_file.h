#pragma once
// A TensorBoard event file: a sequence of records (length, checksum, bytes, checksum), each one protobuf
// message `Event`, written without protobuf. Fields used: Event {1 wall_time, 2 step, 3 file_version, 5
// summary, 7 session_log}, Summary.Value {1 tag, 2 simple_value, 5 histo, 8 tensor, 9 metadata}.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/file.h"
#include "train/metric_record.h"

namespace granule {

namespace event {

/// One record of the file around the serialized event.
std::string record(std::string_view event_bytes);

std::string version(double wall_time);
/// A session begins: TensorBoard forgets what earlier sessions wrote at `step` and later.
std::string session_start(double wall_time, int64_t step);
/// All values of the record as scalars and all counts as histograms, in one event.
std::string summary(const MetricRecord& metrics);
/// Markdown under `name`, shown by the text plugin.
std::string text(double wall_time, int64_t step, const std::string& name, const std::string& markdown);

}  // namespace event

class EventFile {
 public:
  /// A new file in `directory`, made if missing; `resume_step` is the last step that stays, 0 for none.
  EventFile(const std::string& directory, int64_t resume_step, double wall_time);

  void write(const MetricRecord& metrics) { file_.append(event::record(event::summary(metrics))); }
  void write_text(double wall_time, int64_t step, const std::string& name, const std::string& markdown) {
    file_.append(event::record(event::text(wall_time, step, name, markdown)));
  }

 private:
  WriteFile file_;
};

}  // namespace granule
