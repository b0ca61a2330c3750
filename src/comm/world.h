#pragma once
// The start and the end of a job: MPI when mpirun or srun started us, one rank otherwise. The only place that
// reads the environment.

#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/check.h"
#include "comm/collective_log.h"
#include "comm/communicator.h"
#include "comm/hang_watchdog.h"

namespace granule {

class MpiRuntime;

class World {
 public:
  /// Starts MPI if a launcher started this process; tells base/log its rank and ATen its number of threads.
  World();
  /// All communicators of `group` must be gone.
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  int rank() const { return all_->rank(); }
  int size() const { return all_->size(); }
  /// Ranks on this machine and this one's number among them.
  int local_rank() const { return machine_->rank(); }
  int local_size() const { return machine_->size(); }

  /// The communicator of all ranks.
  Communicator& all() { return *all_; }
  /// The communicator of the ranks on this machine.
  Communicator& machine() { return *machine_; }
  /// A communicator of the given ranks, which all call this with the same list and name, other ranks with
  /// their own list; collective over the whole world.
  std::unique_ptr<Communicator> group(const std::string& name, std::span<const int> ranks);

  /// Threads a rank may use: OMP_NUM_THREADS if set, else its share of the machine's cores.
  int num_threads() const { return num_threads_; }

  /// Collectives from here on belong to this step of training, for messages.
  void set_step(int64_t step) { log_->set_step(step); }
  /// `transport` is aborted, if it still lives, before the job is.
  void abort_with_job(std::weak_ptr<DeviceTransport> transport);

  /// While the result lives, a collective that waits longer than this ends the job with ExitCode::kHang and a
  /// message that names it.
  std::unique_ptr<HangWatchdog> watch_for_hangs(std::chrono::milliseconds timeout);
  /// Ends all ranks of the job at once, from any thread.
  [[noreturn]] void abort(ExitCode code);

 private:
  void choose_num_threads();

  std::shared_ptr<CollectiveLog> log_;
  std::unique_ptr<MpiRuntime> mpi_;  // null without a launcher
  std::unique_ptr<Communicator> all_;
  std::unique_ptr<Communicator> machine_;
  std::mutex transports_mutex_;
  std::vector<std::weak_ptr<DeviceTransport>> transports_;
  int num_threads_ = 1;
};

/// Runs `body(world)` and turns an exception into a message with this rank's number and the exit code of its
/// kind. With several ranks a failure on one ends all of them (MPI_Abort), so nobody waits for the dead.
int run_in_world(const std::function<int(World&)>& body);

}  // namespace granule
