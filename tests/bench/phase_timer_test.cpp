#include "bench/phase_timer.h"

#include <ATen/record_function.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace granule {
namespace {

constexpr std::chrono::milliseconds kNap(20);

void nap(const char* name) {
  RECORD_USER_SCOPE(name);
  std::this_thread::sleep_for(kNap);
}

TEST(PhaseTimer, AScopesTimeIsItsOwnWithoutThoseInside) {
  PhaseTimer timer;
  {
    RECORD_USER_SCOPE("outer");
    nap("inner");
    nap("inner");
  }
  const auto seconds = timer.take();
  ASSERT_EQ(seconds.size(), 2u);
  EXPECT_GE(seconds.at("inner"), 0.04);
  EXPECT_LT(seconds.at("outer"), seconds.at("inner") / 2);
}

TEST(PhaseTimer, TakingBeginsAnew) {
  PhaseTimer timer;
  nap("first");
  EXPECT_EQ(timer.take().count("first"), 1u);
  nap("second");
  const auto seconds = timer.take();
  EXPECT_EQ(seconds.count("first"), 0u);
  EXPECT_EQ(seconds.count("second"), 1u);
}

TEST(PhaseTimer, NothingIsTimedBeforeOrAfter) {
  nap("before");
  { const PhaseTimer timer; }
  nap("between");
  PhaseTimer timer;
  EXPECT_TRUE(timer.take().empty());
}

}  // namespace
}  // namespace granule
