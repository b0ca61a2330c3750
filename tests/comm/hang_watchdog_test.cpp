#include "comm/hang_watchdog.h"

#include <gtest/gtest.h>

#include <future>
#include <tuple>

#include "base/check.h"

namespace granule {
namespace {

using std::chrono::milliseconds;

// Far beyond what any of these tests takes.
constexpr std::chrono::seconds kPatience{60};

class HangWatchdogTest : public testing::Test {
 protected:
  std::unique_ptr<HangWatchdog> watch(milliseconds timeout) {
    return std::make_unique<HangWatchdog>(log_, timeout,
                                          [this](const std::string& text) { told_.set_value(text); });
  }

  std::shared_ptr<CollectiveLog> log_ = std::make_shared<CollectiveLog>();
  std::promise<std::string> told_;
  std::future<std::string> text_ = told_.get_future();
};

TEST_F(HangWatchdogTest, NamesTheCollectiveThatWaitsAndThoseBeforeIt) {
  std::ignore = log_->enter("barrier", "world", 4, 0);
  std::ignore = log_->enter("broadcast", "data", 9, 512);
  const auto hanging = log_->enter("all_to_all_rows", "expert", 17, 4096);
  const auto watchdog = watch(milliseconds(100));
  ASSERT_EQ(text_.wait_for(kPatience), std::future_status::ready);
  const auto text = text_.get();
  EXPECT_NE(text.find("all_to_all_rows #17 of group expert, 4096 bytes, since "), std::string::npos) << text;
  const auto barrier = text.find("\n  barrier #4 of group world");
  const auto broadcast = text.find("\n  broadcast #9 of group data");
  EXPECT_NE(barrier, std::string::npos) << text;
  EXPECT_NE(broadcast, std::string::npos) << text;
  EXPECT_LT(barrier, broadcast);
}

TEST_F(HangWatchdogTest, NoticesADeviceThatNeverFinishes) {
  {
    auto entry = log_->enter("all_reduce_sum", "replica (ranks 0, 1)", 3, 64);
    entry.finish_when([] { return false; });
  }
  const auto watchdog = watch(milliseconds(100));
  ASSERT_EQ(text_.wait_for(kPatience), std::future_status::ready);
  const auto text = text_.get();
  EXPECT_NE(text.find("all_reduce_sum #3 of group replica (ranks 0, 1), 64 bytes"), std::string::npos) << text;
}

TEST_F(HangWatchdogTest, DoesNotAddUpShortCollectives) {
  {
    // Together much longer than the timeout, which no single one comes near.
    const auto watchdog = watch(milliseconds(2000));
    for (int i = 0; i < 250; ++i) {
      const auto entry = log_->enter("barrier", "world", i, 0);
      std::this_thread::sleep_for(milliseconds(10));
    }
  }
  EXPECT_EQ(text_.wait_for(milliseconds(0)), std::future_status::timeout);
}

TEST_F(HangWatchdogTest, WaitsLongerWhenToldTo) {
  const auto watchdog = watch(milliseconds(100));
  watchdog->set_patient(true);
  const auto hanging = log_->enter("all_gather_bytes", "world", 1, 0);
  EXPECT_EQ(text_.wait_for(milliseconds(400)), std::future_status::timeout);
  watchdog->set_patient(false);
  EXPECT_EQ(text_.wait_for(kPatience), std::future_status::ready);
}

TEST_F(HangWatchdogTest, IgnoresARankThatOnlyComputes) {
  std::ignore = log_->enter("barrier", "world", 1, 0);
  const auto watchdog = watch(milliseconds(20));
  EXPECT_EQ(text_.wait_for(milliseconds(400)), std::future_status::timeout);
}

TEST_F(HangWatchdogTest, StopsAtOnceWhenDestroyed) {
  const auto begin = std::chrono::steady_clock::now();
  watch(std::chrono::hours(10)).reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, kPatience);
}

}  // namespace
}  // namespace granule
