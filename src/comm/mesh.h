#pragma once
// Where a rank stands: ranks = pipeline x data x expert, expert innermost. Each axis and the groups that
// reductions need have a communicator.

#include <c10/core/Device.h>

#include <memory>
#include <vector>

#include "comm/communicator.h"
#include "comm/world.h"

namespace granule {

struct ParallelConfig {
  int64_t expert = 1;
  int64_t data = 0;
  int64_t pipeline = 1;
  std::string backend = "auto";
  int64_t timeout_seconds = 600;

  void visit(auto&& field) {
    field("expert", expert, {.min = 1, .max = 1 << 20}, "ranks over which the experts of a layer are split");
    field("data", data, {.min = 0, .max = 1 << 20},
          "ranks that hold the same experts and read other data; 0: all that are left");
    field("pipeline", pipeline, {.min = 1, .max = 1}, "pipeline stages");
    field("backend", backend, {.choices = {"auto", "mpi", "staged", "nccl"}},
          "what carries tensors between ranks: mpi (host memory), nccl (a GPU for each rank), staged (GPU "
          "memory "
          "through the host, ranks may share a GPU); auto: mpi on the CPU, else nccl where it can");
    field("timeout_seconds", timeout_seconds, {.min = 1, .max = 1 << 30},
          "a collective of training that waits longer than this ends the job with exit code 18 and its name");
  }

  /// Throws ConfigError unless pipeline x data x expert can be `num_ranks`; says which product must divide
  /// what.
  void check(int64_t num_ranks) const;
};

/// World ranks of the groups that one rank belongs to, in rank order.
struct MeshGroups {
  std::vector<int> expert;
  std::vector<int> data;
  std::vector<int> replica;
};
/// `config` has been checked against `num_ranks`.
MeshGroups mesh_groups(const ParallelConfig& config, int num_ranks, int rank);

class Mesh {
 public:
  /// For tensors on `device` and in host memory. Collective over the world. `config` has been checked for
  /// the ranks; throws ConfigError if its backend does not fit the device.
  Mesh(World& world, const ParallelConfig& config, at::Device device = at::kCPU);

  Communicator& world() { return world_.all(); }
  /// Ranks that together hold all experts of a layer.
  Communicator& expert() { return *expert_; }
  /// Ranks that hold the same experts.
  Communicator& data() { return *data_; }
  /// data x expert: ranks that hold the same non-expert parameters; each reads its own sequences.
  Communicator& replica() { return *replica_; }

 private:
  World& world_;
  std::unique_ptr<Communicator> expert_;
  std::unique_ptr<Communicator> data_;
  std::unique_ptr<Communicator> replica_;
};

}  // namespace granule
