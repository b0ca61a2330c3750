#include <ATen/Context.h>
#include <ATen/cuda/CUDAContext.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/cuda/CUDAFunctions.h>
#include <cuda_runtime_api.h>

#include <fstream>
#include <string>

#include "base/check.h"
#include "comm/accelerator.h"
#include "comm/nccl_transport.h"

namespace granule {

namespace {

void check_cuda(cudaError_t result, const char* call) {
  CHECK(result == cudaSuccess, call, ": ", cudaGetErrorString(result));
}

// CUDA's numbers are 1000 x major + 10 x minor.
std::string cuda_version(int version) {
  return join_text(version / 1000, ".", version % 1000 / 10);
}

// "580.65.06"; what CUDA the driver knows where the kernel module does not tell.
std::string driver_version() {
  std::string line;
  if (std::getline(std::ifstream("/sys/module/nvidia/version"), line)) return line;
  int version = 0;
  check_cuda(cudaDriverGetVersion(&version), "cudaDriverGetVersion");
  return "for CUDA " + cuda_version(version);
}

}  // namespace

int num_gpus() {
  return c10::cuda::device_count();
}

std::string why_no_gpu() {
  int count = 0;
  const auto result = cudaGetDeviceCount(&count);
  std::ignore = cudaGetLastError();
  return result == cudaSuccess ? "CUDA sees no device" : cudaGetErrorString(result);
}

at::Device use_gpu(int index) {
  auto& context = at::globalContext();
  context.lazyInitDevice(at::kCUDA);
  // Products of bf16 are summed in fp32 to the end; those of fp32 are not rounded to TF32.
  context.setAllowBF16ReductionCuBLAS(false);
  context.setAllowTF32CuBLAS(false);
  c10::cuda::set_device(static_cast<c10::DeviceIndex>(index));
  return at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index));
}

std::string gpu_name(int index) {
  return at::cuda::getDeviceProperties(index)->name;
}

std::string gpu_identity(int index) {
  const auto& uuid = at::cuda::getDeviceProperties(index)->uuid;
  return {uuid.bytes, sizeof(uuid.bytes)};
}

Software gpu_software() {
  int runtime = 0;
  check_cuda(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
  const auto cudnn = at::detail::getCUDAHooks().versionRuntimeCuDNN();
  return {{"CUDA", cuda_version(runtime)},
          {"driver", driver_version()},
          {"cuDNN", join_text(cudnn / 10000, ".", cudnn / 100 % 100, ".", cudnn % 100)},
          {"NCCL", nccl_version()}};
}

std::shared_ptr<DeviceTransport> make_nccl_transport(Communicator& group, at::Device device) {
  return std::make_shared<NcclTransport>(group, device);
}

}  // namespace granule
