#include "comm/device.h"

#include <gtest/gtest.h>

#include "base/check.h"
#include "comm/accelerator.h"

namespace granule {
namespace {

TEST(Device, CpuIsAlwaysThere) {
  World world;
  EXPECT_EQ(open_device(world, "cpu"), at::Device(at::kCPU));
  EXPECT_FALSE(device_is_shared(world, at::kCPU));
}

TEST(Device, CudaWithoutAGpuIsRefusedWithTheReason) {
  if (num_gpus() > 0) GTEST_SKIP() << "this machine has a GPU";
  World world;
  try {
    open_device(world, "cuda");
    FAIL() << "accepted";
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.what(), "train.device = cuda finds no GPU: " + why_no_gpu());
  }
  EXPECT_FALSE(why_no_gpu().empty());
}

}  // namespace
}  // namespace granule
