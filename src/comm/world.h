#pragma once
// The start and the end of a job: MPI when mpirun or srun started us, one rank otherwise. The only place that
// reads the environment.

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "comm/communicator.h"

namespace granule {

class World {
 public:
  /// Starts MPI if a launcher started this process; tells base/log its rank.
  World(int argc, char** argv);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  int rank() const { return all_->rank(); }
  int size() const { return all_->size(); }
  /// Ranks on this machine and this one's number among them.
  int local_rank() const { return local_rank_; }
  int local_size() const { return local_size_; }

  /// The communicator of all ranks.
  Communicator& all() { return *all_; }
  /// A communicator of the given ranks, which all call this with the same list and name, other ranks with their
  /// own list; collective over the whole world.
  std::unique_ptr<Communicator> group(const std::string& name, std::span<const int> ranks);

  /// Threads a rank may use: OMP_NUM_THREADS if set, else its share of the machine's cores.
  int num_threads() const;

 private:
  std::unique_ptr<Communicator> all_;
  int local_rank_ = 0;
  int local_size_ = 1;
};

/// Runs `body(world)` and turns an exception into a message with this rank's number and the exit code of its kind.
/// With several ranks a failure on one ends all of them (MPI_Abort), so nobody waits for the dead.
int run_in_world(int argc, char** argv, const std::function<int(World&)>& body);

}  // namespace granule
