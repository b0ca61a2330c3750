#include "comm/device.h"

#include <torch/headeronly/version.h>

#include <algorithm>

#include "base/check.h"
#include "base/log.h"
#include "comm/accelerator.h"

namespace granule {

at::Device open_device(World& world, const std::string& name) {
  at::Device device = at::kCPU;
  Software software{{"torch", TORCH_VERSION}};
  std::string description = "cpu";
  if (name == "cuda") {
    const int gpus = num_gpus();
    if (gpus == 0) throw ConfigError("train.device", name, "finds no GPU: ", why_no_gpu());
    const int index = world.local_rank() % gpus;
    device = use_gpu(index);
    description = join_text(device, ", ", gpu_name(index));
    const auto of_gpu = gpu_software();
    software.insert(software.end(), of_gpu.begin(), of_gpu.end());
  } else {
    CHECK(name == "cpu", "train.device = ", name);
  }
  agree_on_software(software, world.all());
  if (world.rank() == 0) log_info(join_text("device: ", description, "; ", print_software(software)));
  return device;
}

bool device_is_shared(World& world, at::Device device) {
  // A GPU may have another number in each process, so ranks compare what it is.
  const auto mine = device.is_cuda() ? gpu_identity(device.index()) : device.str();
  const auto all = world.machine().all_gather_bytes(mine);
  return world.all().all_reduce_max(int64_t{std::count(all.begin(), all.end(), mine) > 1}) != 0;
}

}  // namespace granule
