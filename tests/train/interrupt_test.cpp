#include "train/interrupt.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <thread>

namespace granule {
namespace {

TEST(Interrupt, IsToldOnce) {
  Interrupt interrupt;
  EXPECT_FALSE(interrupt.came());
  std::raise(SIGINT);
  EXPECT_TRUE(interrupt.came());
  EXPECT_FALSE(interrupt.came());
}

TEST(Interrupt, IsNotMissedBeforeAWaitBegins) {
  Interrupt interrupt;
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  std::raise(SIGINT);
  interrupt.wait_for_input(ends[0]);
  EXPECT_TRUE(interrupt.came());
  ASSERT_EQ(write(ends[1], "", 1), 1);
  interrupt.wait_for_input(ends[0]);
  EXPECT_FALSE(interrupt.came());
  close(ends[0]);
  close(ends[1]);
}

TEST(Interrupt, EndsARead) {
  Interrupt interrupt;
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const auto reader = pthread_self();
  std::atomic<bool> done = false;
  std::thread other([&] {
    while (!done) {
      pthread_kill(reader, SIGINT);
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  });
  char byte;
  const auto count = read(ends[0], &byte, 1);
  const int error = errno;
  done = true;
  other.join();
  EXPECT_EQ(count, -1);
  EXPECT_EQ(error, EINTR);
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace granule
