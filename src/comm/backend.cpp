#include "comm/backend.h"

#include "base/check.h"
#include "comm/accelerator.h"
#include "comm/staged_transport.h"

namespace granule {

Backend choose_backend(const std::string& requested, at::Device device, bool shares_device) {
  const auto refuse = [&](const char* why) { throw ConfigError("parallel.backend", requested, why); };
  if (device.is_cpu()) {
    if (requested == "staged" || requested == "nccl") refuse("carries GPU memory, but train.device = cpu");
    return Backend::kMpi;
  }
  if (requested == "mpi") refuse("carries host memory, but the model is on a GPU; use staged or nccl");
  if (requested == "nccl" && !device.is_cuda()) refuse("carries CUDA memory only");
  if (requested == "nccl" && shares_device) {
    refuse("needs a GPU for every rank, but ranks share one; use staged, or start fewer ranks");
  }
  const bool by_nccl = requested == "nccl" || (requested == "auto" && device.is_cuda() && !shares_device);
  return by_nccl ? Backend::kNccl : Backend::kStaged;
}

std::shared_ptr<DeviceTransport> make_device_transport(Backend backend, Communicator& group,
                                                       at::Device device) {
  if (backend == Backend::kMpi || group.size() == 1) return nullptr;
  if (backend == Backend::kStaged) return std::make_shared<StagedTransport>(group);
  return make_nccl_transport(group, device);
}

}  // namespace granule
