#include "bench/phase_timer.h"

#include <ATen/record_function.h>

#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "base/check.h"

namespace granule {

namespace {

using Clock = std::chrono::steady_clock;

struct Scope {
  Clock::time_point begin;
  double seconds_inside = 0;  // of scopes inside this one
};

// Callbacks are plain functions that know their thread alone.
struct ThreadScopes {
  std::vector<Scope> open;
  PhaseSeconds seconds;
  bool timed = false;
};
thread_local ThreadScopes scopes;

std::unique_ptr<at::ObserverContext> enter(const at::RecordFunction& /*function*/) {
  scopes.open.push_back({Clock::now()});
  return nullptr;
}

void leave(const at::RecordFunction& function, at::ObserverContext* /*context*/) {
  const Scope scope = scopes.open.back();
  scopes.open.pop_back();
  const double seconds = std::chrono::duration<double>(Clock::now() - scope.begin).count();
  scopes.seconds[function.name()] += seconds - scope.seconds_inside;
  if (!scopes.open.empty()) scopes.open.back().seconds_inside += seconds;
}

}  // namespace

PhaseTimer::PhaseTimer() {
  CHECK(!std::exchange(scopes.timed, true), "a thread's scopes are timed twice");
  callback_ = at::addThreadLocalCallback(
      at::RecordFunctionCallback(enter, leave).scopes({at::RecordScope::USER_SCOPE}));
}

PhaseTimer::~PhaseTimer() {
  at::removeCallback(callback_);
  scopes = {};
}

PhaseSeconds PhaseTimer::take() {
  return std::exchange(scopes.seconds, {});
}

}  // namespace granule
