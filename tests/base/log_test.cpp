#include "base/log.h"

#include <gtest/gtest.h>

#include <regex>

namespace granule {
namespace {

class Log : public testing::Test {
 protected:
  ~Log() override { set_log_rank(0, 1); }

  static std::string written_by(void (*call)()) {
    testing::internal::CaptureStderr();
    call();
    return testing::internal::GetCapturedStderr();
  }
  static bool is_line(const std::string& text, const std::string& expected) {
    return std::regex_match(text, std::regex(R"(\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] )" + expected + "\n"));
  }
};

TEST_F(Log, LinesHaveATime) {
  const auto text = written_by([] { log_info("step {} of %d"); });
  EXPECT_TRUE(is_line(text, R"(step \{\} of %d)")) << text;
}

TEST_F(Log, WarningsAndErrorsSayWhatTheyAre) {
  const auto warning = written_by([] { log_warning("odd"); });
  EXPECT_TRUE(is_line(warning, "warning: odd")) << warning;
  const auto error = written_by([] { log_error("bad"); });
  EXPECT_TRUE(is_line(error, "error: bad")) << error;
}

TEST_F(Log, OnlyRankZeroInformsButEveryRankWarns) {
  set_log_rank(2, 4);
  EXPECT_EQ(written_by([] { log_info("hello"); }), "");
  const auto warning = written_by([] { log_warning("odd"); });
  EXPECT_TRUE(is_line(warning, R"(warning \(rank 2\): odd)")) << warning;
  set_log_rank(0, 4);
  EXPECT_NE(written_by([] { log_info("hello"); }), "");
}

}  // namespace
}  // namespace granule
