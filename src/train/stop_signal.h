#pragma once
// Asking a run to stop: SIGUSR1 and SIGUSR2 (mpirun and srun forward them), SIGINT and SIGTERM. The run
// notices after the step, writes a checkpoint and ends with ExitCode::kStopped.

namespace granule {

/// Catches the signals while it lives; SIGUSR1 and SIGUSR2 are ignored after it. A second SIGINT or SIGTERM
/// ends the process at once, as if uncaught.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  /// The first signal that came to this rank, 0 if none.
  int received() const;
};

}  // namespace granule
