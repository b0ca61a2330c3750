#pragma once
// Ctrl-C as a wish, not as the end of the process.

namespace granule {

/// Catches SIGINT while it lives. A read that waits for input returns early with an error.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  /// Whether SIGINT came since this was last asked.
  bool came();
};

}  // namespace granule
