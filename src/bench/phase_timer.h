#pragma once
// Where the time of a step goes, by the scopes that operators name themselves with (RECORD_USER_SCOPE, which
// traces show too).

#include <cstdint>
#include <map>
#include <string>

namespace granule {

/// Seconds by scope, those of scopes inside left out.
using PhaseSeconds = std::map<std::string, double>;

/// While it lives, the scopes of this thread are timed. One at a time on a thread.
class PhaseTimer {
 public:
  PhaseTimer();
  ~PhaseTimer();
  PhaseTimer(const PhaseTimer&) = delete;
  PhaseTimer& operator=(const PhaseTimer&) = delete;

  /// Since construction, or since this was last called.
  PhaseSeconds take();

 private:
  uint64_t callback_;
};

}  // namespace granule
