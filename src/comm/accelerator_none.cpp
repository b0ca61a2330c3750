#include "base/check.h"
#include "comm/accelerator.h"

namespace granule {

int num_gpus() {
  return 0;
}

std::string why_no_gpu() {
  return "this build has no CUDA (cmake --preset cuda makes one that has)";
}

// Without a GPU nobody asks for the rest.
at::Device use_gpu(int index) {
  CHECK(false, "GPU ", index, " in a build without CUDA");
}
std::string gpu_name(int index) {
  CHECK(false, "GPU ", index, " in a build without CUDA");
}
std::string gpu_identity(int index) {
  CHECK(false, "GPU ", index, " in a build without CUDA");
}
Software gpu_software() {
  CHECK(false, "GPU software in a build without CUDA");
}
std::shared_ptr<DeviceTransport> make_nccl_transport(Communicator& group, at::Device device) {
  CHECK(false, "NCCL for group ", group.name(), " on ", device, " in a build without CUDA");
}

}  // namespace granule
