#include "train/event_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "tests/support/temporary_directory.h"

namespace granule {
namespace {

std::string hex(const std::string& bytes) {
  static const char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : bytes) text += {kDigits[byte >> 4], kDigits[byte & 15]};
  return text;
}

std::set<std::string> names_in(const std::string& directory) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    names.insert(entry.path().filename());
  return names;
}

MetricRecord loss_record(double wall_time, int64_t step, double loss) {
  MetricRecord metrics;
  metrics.wall_time = wall_time;
  metrics.step = step;
  metrics.add(metric::kLoss, loss);
  return metrics;
}

// The three records below were decoded with protoc against TensorBoard's own definitions.
TEST(EventFile, VersionRecordHasTheKnownBytes) {
  EXPECT_EQ(hex(event::record(event::version(1.0))),
            "1800000000000000a37f4b2209000000000000f03f1a0d627261696e2e4576656e743a3286bf577a");
}

TEST(EventFile, ScalarRecordHasTheKnownBytes) {
  EXPECT_EQ(hex(event::record(event::summary(loss_record(2.0, 7, 0.5)))),
            "1d00000000000000602fdf2309000000000000004010072a100a0e0a076c6d206c6f7373150000003f38f123c9");
}

TEST(EventFile, SessionStartRecordHasTheKnownBytes) {
  EXPECT_EQ(hex(event::record(event::session_start(4.0, 5))),
            "0f000000000000006d532b0909000000000000104010053a02080128598627");
}

TEST(EventFile, StepsAboveOneVarintByteAreSplitInSevens) {
  const auto bytes = event::session_start(0.0, 300);
  EXPECT_EQ(hex(bytes),
            "090000000000000000"
            "10ac02"
            "3a020801");
}

TEST(EventFile, HoldsVersionSessionAndWhatWasWritten) {
  const TemporaryDirectory directory;
  const auto folder = directory.path("run/tensorboard");
  EventFile file(folder, 5, 1234567.25);
  file.write(loss_record(1234568.0, 6, 0.5));
  file.write_text(1234569.0, 6, "config", "    a: 1");

  const auto names = names_in(folder);
  ASSERT_EQ(names.size(), 1u);
  EXPECT_EQ(names.begin()->rfind("events.out.tfevents.0001234567.", 0), 0u) << *names.begin();
  const auto path = folder + "/" + *names.begin();
  const auto text = read_text_file(path, 1 << 20);
  // Step 5 stays: what is forgotten begins behind it.
  EXPECT_EQ(text, event::record(event::version(1234567.25)) +
                      event::record(event::session_start(1234567.25, 6)) +
                      event::record(event::summary(loss_record(1234568.0, 6, 0.5))) +
                      event::record(event::text(1234569.0, 6, "config", "    a: 1")));
}

TEST(EventFile, NewRunForgetsEverything) {
  const TemporaryDirectory directory;
  EventFile file(directory.path(), 0, 1.0);
  const auto text = read_text_file(directory.path(*names_in(directory.path()).begin()), 1 << 20);
  EXPECT_EQ(text, event::record(event::version(1.0)) + event::record(event::session_start(1.0, 0)));
}

TEST(EventFile, TwoOfOneSecondDoNotOverwriteEachOther) {
  const TemporaryDirectory directory;
  EventFile first(directory.path(), 0, 9.0);
  EventFile second(directory.path(), 0, 9.0);
  EXPECT_EQ(names_in(directory.path()).size(), 2u);
}

}  // namespace
}  // namespace granule
