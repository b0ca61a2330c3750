#pragma once
// Which backend carries collectives: parallel.backend, or what fits the device.

#include <c10/core/Device.h>

#include <memory>
#include <string>

#include "comm/communicator.h"

namespace granule {

enum class Backend {
  kMpi,     ///< host memory alone
  kStaged,  ///< device tensors through host memory; ranks may share a device
  kNccl,    ///< device tensors by NCCL; every rank has a GPU of its own
};

/// `requested` is "auto", "mpi", "staged" or "nccl". auto: mpi on the CPU, nccl on GPUs of one rank each,
/// else staged. Throws ConfigError for what the device cannot do. `shares_device`: some rank of the job
/// shares its device with another.
Backend choose_backend(const std::string& requested, at::Device device, bool shares_device);

/// What carries tensors on `device` for `group`, which must outlive it; null for kMpi and for groups of one.
/// Collective over the group.
std::shared_ptr<DeviceTransport> make_device_transport(Backend backend, Communicator& group,
                                                       at::Device device);

}  // namespace granule
