#pragma once
// Ranks as threads of one process: what tests use to see N ranks without a launcher, and the group of one
// rank of a run without MPI. Nothing hangs: a rank that waits for one that has left throws.

#include <condition_variable>
#include <functional>
#include <mutex>

#include "comm/communicator.h"

namespace granule {

/// Runs `body(communicator)` as each of `num_ranks` ranks and returns when all are done. The first failure of
/// any rank is thrown again here.
void run_loopback(int num_ranks, const std::function<void(Communicator&)>& body);

/// Where the threads of one group meet.
class LoopbackHub {
 public:
  /// What a rank lays out for the others during one collective.
  struct Offer {
    const char* verb = "";
    const std::byte* data = nullptr;
    std::vector<int64_t> offsets;  ///< of the block for each rank
    std::vector<int64_t> sizes;
  };

  explicit LoopbackHub(int num_ranks) : offers_(static_cast<size_t>(num_ranks)) {}

  /// Returns when all ranks have offered; throws if one never will, or offers another verb.
  void offer(int rank, Offer offer);
  const Offer& offer_of(int rank) const { return offers_[static_cast<size_t>(rank)]; }
  /// Returns when all ranks are done with the offers.
  void wait_for_all();
  /// This rank takes part no more; whoever waits for it throws.
  void leave(int rank);

 private:
  std::vector<Offer> offers_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int64_t meeting_ = 0;
  size_t num_waiting_ = 0;
  int left_rank_ = -1;
};

class LoopbackCommunicator : public Communicator {
 public:
  LoopbackCommunicator(std::string name, int rank, int size, std::shared_ptr<LoopbackHub> hub,
                       std::shared_ptr<CollectiveLog> log);
  /// A group of one.
  LoopbackCommunicator(std::string name, std::shared_ptr<CollectiveLog> log);

 private:
  void exchange_blocks(const std::byte* sent, std::span<const Block> send, std::byte* received,
                       std::span<const Block> receive) override;
  void gather_equal_bytes(const std::byte* mine, int64_t count, std::byte* all) override;
  void spread_bytes(std::byte* bytes, int64_t count, int root) override;
  void wait_for_all() override;

  std::shared_ptr<LoopbackHub> hub_;
};

}  // namespace granule
