#include "train/event_file.h"

#include <unistd.h>

#include <bit>
#include <cstdio>
#include <filesystem>

#include "base/check.h"
#include "train/crc32c.h"

namespace granule {

namespace {

/// Serializes one protobuf message, field by field.
class Message {
 public:
  Message& varint(int field, uint64_t value) {
    key(field, 0);
    put_varint(value);
    return *this;
  }
  Message& number(int field, double value) {
    key(field, 1);
    put_fixed(std::bit_cast<uint64_t>(value));
    return *this;
  }
  Message& number(int field, float value) {
    key(field, 5);
    put_fixed(std::bit_cast<uint32_t>(value));
    return *this;
  }
  Message& bytes(int field, std::string_view value) {
    key(field, 2);
    put_varint(value.size());
    out_ += value;
    return *this;
  }
  Message& packed(int field, const std::vector<double>& values) {
    key(field, 2);
    put_varint(values.size() * sizeof(double));
    for (const double value : values) put_fixed(std::bit_cast<uint64_t>(value));
    return *this;
  }
  const std::string& text() const { return out_; }

 private:
  void key(int field, int wire_type) { put_varint(static_cast<uint64_t>(field << 3 | wire_type)); }
  void put_varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_ += static_cast<char>(value | 0x80);
    out_ += static_cast<char>(value);
  }
  template <class Integer>
  void put_fixed(Integer value) {
    for (size_t byte = 0; byte < sizeof(value); ++byte) out_ += static_cast<char>(value >> (8 * byte));
  }

  std::string out_;
};

std::string fixed_bytes(uint64_t value, size_t count) {
  std::string bytes;
  for (size_t byte = 0; byte < count; ++byte) bytes += static_cast<char>(value >> (8 * byte));
  return bytes;
}

/// proto3 leaves zeros out.
Message event_head(double wall_time, int64_t step) {
  Message head;
  head.number(1, wall_time);
  if (step != 0) head.varint(2, static_cast<uint64_t>(step));
  return head;
}

/// HistogramProto of the distribution of counts over indices: bucket i spans i - 0.5 to i + 0.5.
std::string histogram(const std::vector<int64_t>& counts) {
  double num = 0, sum = 0, sum_squares = 0;
  // TensorBoard cuts empty buckets off both ends and takes these two for the outer edges.
  double left = 0, right = 0;
  std::vector<double> limits, buckets;
  for (size_t i = 0; i < counts.size(); ++i) {
    const auto index = static_cast<double>(i), count = static_cast<double>(counts[i]);
    if (count > 0 && num == 0) left = index - 0.5;
    if (count > 0) right = index + 0.5;
    num += count;
    sum += count * index;
    sum_squares += count * index * index;
    limits.push_back(index + 0.5);
    buckets.push_back(count);
  }
  return Message()
      .number(1, left)
      .number(2, right)
      .number(3, num)
      .number(4, sum)
      .number(5, sum_squares)
      .packed(6, limits)
      .packed(7, buckets)
      .text();
}

std::string host_name() {
  char name[256] = "";
  if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0') return "localhost";
  return name;
}

std::string new_event_path(const std::string& directory, double wall_time) {
  std::filesystem::create_directories(directory);
  char seconds[32];
  std::snprintf(seconds, sizeof(seconds), "%010lld", static_cast<long long>(wall_time));
  const auto stem =
      join_text(directory, "/events.out.tfevents.", seconds, ".", host_name(), ".", getpid(), ".");
  // TensorBoard reads files in the order of their names; the number tells apart those of one second.
  int number = 0;
  while (std::filesystem::exists(stem + std::to_string(number))) ++number;
  return stem + std::to_string(number);
}

}  // namespace

namespace event {

std::string record(std::string_view event_bytes) {
  const auto length = fixed_bytes(event_bytes.size(), 8);
  std::string bytes = length + fixed_bytes(masked_crc32c(length), 4);
  bytes += event_bytes;
  return bytes + fixed_bytes(masked_crc32c(event_bytes), 4);
}

std::string version(double wall_time) {
  return event_head(wall_time, 0).bytes(3, "brain.Event:2").text();
}

std::string session_start(double wall_time, int64_t step) {
  return event_head(wall_time, step).bytes(7, Message().varint(1, 1).text()).text();
}

std::string summary(const MetricRecord& metrics) {
  Message values;
  for (const auto& [name, value] : metrics.values) {
    values.bytes(1, Message().bytes(1, name).number(2, static_cast<float>(value)).text());
  }
  for (const auto& [name, counts] : metrics.counts) {
    values.bytes(1, Message().bytes(1, name).bytes(5, histogram(counts)).text());
  }
  return event_head(metrics.wall_time, metrics.step).bytes(5, values.text()).text();
}

std::string text(double wall_time, int64_t step, const std::string& name, const std::string& markdown) {
  constexpr uint64_t kStringType = 7;
  const auto tensor = Message().varint(1, kStringType).bytes(2, "").bytes(8, markdown).text();
  const auto plugin = Message().bytes(1, Message().bytes(1, "text").text()).text();
  const auto value = Message().bytes(1, name + "/text_summary").bytes(8, tensor).bytes(9, plugin).text();
  return event_head(wall_time, step).bytes(5, Message().bytes(1, value).text()).text();
}

}  // namespace event

EventFile::EventFile(const std::string& directory, int64_t resume_step, double wall_time)
    : file_(new_event_path(directory, wall_time)) {
  file_.append(event::record(event::version(wall_time)));
  const int64_t first_forgotten = resume_step == 0 ? 0 : resume_step + 1;
  file_.append(event::record(event::session_start(wall_time, first_forgotten)));
}

}  // namespace granule
