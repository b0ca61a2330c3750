#pragma once
// How tensors in the memory of a device (a GPU) travel between the ranks of a group. What lies in host memory
// goes the communicator's own way.

#include <ATen/core/Tensor.h>

#include <span>

#include "comm/reduction.h"

namespace granule {

/// The verbs are those of Communicator, which has checked the arguments. All ranks of the group call them in
/// the same order, one thread at a time. They may return before the device is done; work issued to the device
/// afterwards sees the results.
class DeviceTransport {
 public:
  virtual ~DeviceTransport() = default;
  DeviceTransport(const DeviceTransport&) = delete;
  DeviceTransport& operator=(const DeviceTransport&) = delete;

  virtual void all_reduce(at::Tensor& tensor, Reduction reduction) = 0;
  virtual void all_gather(const at::Tensor& mine, at::Tensor& all) = 0;
  virtual void reduce_scatter_sum(const at::Tensor& all, at::Tensor& mine) = 0;
  virtual void all_to_all_rows(const at::Tensor& sent, std::span<const int64_t> send_rows,
                               at::Tensor& received, std::span<const int64_t> receive_rows) = 0;
  virtual void broadcast(at::Tensor& tensor, int root) = 0;

  /// Gives up whatever is under way; from any thread. The transport is of no use afterwards.
  virtual void abort() {}

 protected:
  DeviceTransport() = default;
};

}  // namespace granule
