#pragma once
// Device tensors through host memory: copied into pinned buffers, carried by the group's own backend, copied
// back. Slow, but needs nothing of the device, so that several ranks may share one, and sums keep rank order.

#include "comm/communicator.h"

namespace granule {

class StagedTransport : public DeviceTransport {
 public:
  /// `group` carries the host copies and must outlive the transport.
  explicit StagedTransport(Communicator& group) : group_(group) {}

  void all_reduce(at::Tensor& tensor, Reduction reduction) override;
  void all_gather(const at::Tensor& mine, at::Tensor& all) override;
  void reduce_scatter_sum(const at::Tensor& all, at::Tensor& mine) override;
  void all_to_all_rows(const at::Tensor& sent, std::span<const int64_t> send_rows, at::Tensor& received,
                       std::span<const int64_t> receive_rows) override;
  void broadcast(at::Tensor& tensor, int root) override;

 private:
  Communicator& group_;
  at::Tensor sent_, received_;  // host bytes, kept between calls
};

}  // namespace granule
