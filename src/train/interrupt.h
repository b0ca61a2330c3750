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
  /// Returns once `descriptor` can be read from or SIGINT came, also if it did so before: a read alone would
  /// miss what comes just before it begins.
  void wait_for_input(int descriptor) const;
};

}  // namespace granule
