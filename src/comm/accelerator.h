#pragma once
// The GPUs that this program can use: none in a build without CUDA (accelerator_none.cpp), those that the
// CUDA runtime finds otherwise (accelerator_cuda.cpp). Whoever includes this sees no CUDA.

#include <c10/core/Device.h>

#include <memory>
#include <string>

#include "comm/communicator.h"
#include "comm/software.h"

namespace granule {

/// GPUs that this process sees.
int num_gpus();
/// Why there are none, for people.
std::string why_no_gpu();

/// Makes GPU number `index` the one this process computes on.
at::Device use_gpu(int index);
/// "NVIDIA H100 80GB HBM3"
std::string gpu_name(int index);
/// The same text for the same piece of hardware, whatever number a process sees it under.
std::string gpu_identity(int index);
/// Versions of CUDA, its driver, cuDNN and NCCL, in this process.
Software gpu_software();

/// NCCL between the ranks of `group`, which must outlive it. Collective.
std::shared_ptr<DeviceTransport> make_nccl_transport(Communicator& group, at::Device device);

}  // namespace granule
