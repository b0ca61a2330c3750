#pragma once
// MPI from its start to its end. Header without mpi.h: whoever includes it sees communicators only.

#include <memory>
#include <span>
#include <string>

#include "comm/collective_log.h"
#include "comm/communicator.h"

namespace granule {

class MpiRuntime {
 public:
  /// MPI_Init_thread; one thread at a time may communicate (MPI_THREAD_SERIALIZED).
  MpiRuntime();
  /// MPI_Finalize; all communicators must be gone.
  ~MpiRuntime();
  MpiRuntime(const MpiRuntime&) = delete;
  MpiRuntime& operator=(const MpiRuntime&) = delete;

  /// All ranks of the job.
  std::unique_ptr<Communicator> world(std::shared_ptr<CollectiveLog> log) const;
  /// The ranks that share memory with this one.
  std::unique_ptr<Communicator> machine(std::shared_ptr<CollectiveLog> log) const;
  /// As World::group.
  std::unique_ptr<Communicator> group(const std::string& name, std::span<const int> ranks,
                                      std::shared_ptr<CollectiveLog> log) const;

  /// Ends all ranks of the job, from any thread; `code` becomes the exit code of mpirun.
  [[noreturn]] static void abort(int code);
};

}  // namespace granule
