#include "train/interrupt.h"

#include <csignal>

namespace granule {

namespace {

// A handler reaches nothing but static storage.
volatile std::sig_atomic_t interrupted = 0;

void note_interrupt(int) {
  interrupted = 1;
}

}  // namespace

Interrupt::Interrupt() {
  interrupted = 0;
  // Without SA_RESTART, so that whoever waits for a line hears of it.
  struct sigaction action {};
  action.sa_handler = note_interrupt;
  sigaction(SIGINT, &action, nullptr);
}

Interrupt::~Interrupt() {
  std::signal(SIGINT, SIG_DFL);
}

bool Interrupt::came() {
  const bool came = interrupted != 0;
  interrupted = 0;
  return came;
}

}  // namespace granule
