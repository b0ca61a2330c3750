#include "train/stop_signal.h"

#include <csignal>

namespace granule {

namespace {

constexpr int kSignals[] = {SIGUSR1, SIGUSR2, SIGINT, SIGTERM};

// A handler reaches nothing but static storage.
volatile std::sig_atomic_t first_signal = 0;

void note_signal(int signal) {
  if (first_signal == 0) first_signal = signal;
  if (signal == SIGINT || signal == SIGTERM) std::signal(signal, SIG_DFL);
}

}  // namespace

StopSignal::StopSignal() {
  first_signal = 0;
  for (const int signal : kSignals) std::signal(signal, note_signal);
}

StopSignal::~StopSignal() {
  for (const int signal : kSignals) {
    const bool asks_only = signal == SIGUSR1 || signal == SIGUSR2;  // a second time is no reason to die
    std::signal(signal, asks_only ? SIG_IGN : SIG_DFL);
  }
}

int StopSignal::received() const { return first_signal; }

}  // namespace granule
