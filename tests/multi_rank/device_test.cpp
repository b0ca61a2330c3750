// Training on a device, its tensors staged through the host: with the pretended device, so that all of it
// runs where there is no GPU. tests/gpu does the same with real ones.

#include <gtest/gtest.h>

#include "comm/mesh.h"
#include "tests/multi_rank/multi_rank.h"
#include "tests/multi_rank/shared_directory.h"
#include "tests/support/device_checks.h"
#include "tests/support/device_training.h"
#include "tests/support/pretend_device.h"

namespace granule {
namespace {

TEST(Staged, VerbsGiveWhatHostTensorsGiveToTheBit) {
  auto& world = multi_rank_world();
  Mesh mesh(world, {.expert = world.size()}, pretend_device());
  expect_verbs_like_host(mesh.expert(), pretend_device(), /*sum_tolerance=*/0);
}

TEST(Device, TrainsLikeTheCpuInFp32) {
  expect_training_like_cpu(multi_rank_world(), pretend_device(), {});
}
TEST(Device, TrainsLikeTheCpuWithRecomputation) {
  expect_training_like_cpu(multi_rank_world(), pretend_device(), {.recompute = true});
}
TEST(Device, TrainsLikeTheCpuWithEveryLossBiasGroupsAndCapacity) {
  expect_training_like_cpu(multi_rank_world(), pretend_device(), {.every_loss = true});
}
TEST(Device, TrainsLikeTheCpuInBf16WithinItsRounding) {
  expect_training_like_cpu(multi_rank_world(), pretend_device(),
                           {.dtype = at::kBFloat16, .loss_tolerance = 0.02, .state_tolerance = 0.09});
}
TEST(Device, CheckpointsTravelBetweenDeviceAndCpu) {
  const SharedDirectory directory(multi_rank_world().all());
  expect_checkpoint_travels(multi_rank_world(), pretend_device(), directory.path("checkpoints"));
}

}  // namespace
}  // namespace granule
