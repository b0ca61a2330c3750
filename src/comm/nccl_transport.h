#pragma once
// NCCL between the GPUs of a group. The only header that shows nccl.h; for nccl_*.cpp and *_cuda.cpp alone.
//
// Everything is issued on the current stream of the device, so collectives of all groups run in the order in
// which ranks issue them, with one another and with the computation, and memory needs no further care. A
// collective stays in the CollectiveLog until the device has done it. Sums are taken in NCCL's order, not in
// rank order.

#include <nccl.h>

#include <functional>
#include <mutex>
#include <string>

#include "comm/communicator.h"

namespace granule {

/// "2.28.9", of the library in this process.
std::string nccl_version();

class NcclTransport : public DeviceTransport {
 public:
  /// Every rank of `group` has a GPU of its own, `device`. The group's host side carries NCCL's id; then one
  /// collective of each kind makes the connections and is waited for. `group` must outlive the transport.
  /// Collective.
  NcclTransport(Communicator& group, at::Device device);
  /// Waits for the device; after an exception gives up at once.
  ~NcclTransport() override;

  void all_reduce(at::Tensor& tensor, Reduction reduction) override;
  void all_gather(const at::Tensor& mine, at::Tensor& all) override;
  void reduce_scatter_sum(const at::Tensor& all, at::Tensor& mine) override;
  void all_to_all_rows(const at::Tensor& sent, std::span<const int64_t> send_rows, at::Tensor& received,
                       std::span<const int64_t> receive_rows) override;
  void broadcast(at::Tensor& tensor, int root) override;
  void abort() override;

 private:
  using Issue = std::function<void(cudaStream_t)>;

  void warm_up();
  /// Runs `issue` as the group's next collective.
  void run(const char* verb, int64_t bytes, const Issue& issue);
  /// Throws with NCCL's words unless `result` is success or still in progress.
  void check(ncclResult_t result, const char* call);
  void check_not_aborted(const char* call) const;
  /// Non-blocking NCCL goes on in threads of its own after a call; the next call must wait for it.
  void wait_until_settled(const char* call);

  Communicator& group_;
  const at::Device device_;
  std::timed_mutex mutex_;  // of comm_ against abort
  ncclComm_t comm_ = nullptr;
};

}  // namespace granule
