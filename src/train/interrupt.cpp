#include "train/interrupt.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>

#include "base/check.h"

namespace granule {

namespace {

// A handler reaches nothing but static storage: it writes a byte into this pipe, which stays open.
int pipe_ends[2];

bool open_pipe() {
  CHECK(pipe2(pipe_ends, O_NONBLOCK | O_CLOEXEC) == 0, "no pipe for SIGINT, errno ", errno);
  return true;
}

void note_interrupt(int) {
  const int error = errno;
  [[maybe_unused]] const auto written = write(pipe_ends[1], "", 1);
  errno = error;
}

}  // namespace

Interrupt::Interrupt() {
  [[maybe_unused]] static const bool opened = open_pipe();
  came();
  // Without SA_RESTART, so that whoever waits for a line hears of it.
  struct sigaction action {};
  action.sa_handler = note_interrupt;
  sigaction(SIGINT, &action, nullptr);
}

Interrupt::~Interrupt() {
  std::signal(SIGINT, SIG_DFL);
}

bool Interrupt::came() {
  bool came = false;
  for (std::byte bytes[64]; read(pipe_ends[0], bytes, sizeof bytes) > 0;) came = true;
  return came;
}

void Interrupt::wait_for_input(int descriptor) const {
  pollfd either[] = {{descriptor, POLLIN, 0}, {pipe_ends[0], POLLIN, 0}};
  while (poll(either, 2, -1) < 0 && errno == EINTR) {
  }
}

}  // namespace granule
