#include "train/stop_signal.h"

#include <gtest/gtest.h>

#include <csignal>

namespace granule {
namespace {

TEST(StopSignal, RemembersTheFirstSignalAndForgetsItWithItsOwner) {
  {
    const StopSignal stop;
    EXPECT_EQ(stop.received(), 0);
    std::raise(SIGUSR1);
    std::raise(SIGUSR2);
    EXPECT_EQ(stop.received(), SIGUSR1);
  }
  std::raise(SIGUSR1);  // asks what is done already
  const StopSignal again;
  EXPECT_EQ(again.received(), 0);
}

TEST(StopSignalDeathTest, SecondInterruptEndsTheProcess) {
  EXPECT_EXIT(
      {
        const StopSignal stop;
        std::raise(SIGINT);
        std::raise(SIGINT);
      },
      testing::KilledBySignal(SIGINT), ".*");
}

}  // namespace
}  // namespace granule
