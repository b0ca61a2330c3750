// What only a GPU can show. Each test skips itself where there is none; scripts/test.sh --gpu runs them where
// there is. The checks are those of tests/ops/device_test.cpp and tests/multi_rank/device_test.cpp, with the
// real device.

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "bench/moe_cases.h"
#include "comm/accelerator.h"
#include "comm/device.h"
#include "comm/mesh.h"
#include "tests/multi_rank/multi_rank.h"
#include "tests/multi_rank/shared_directory.h"
#include "tests/support/device_checks.h"
#include "tests/support/device_training.h"

namespace granule {
namespace {

// Of NCCL's sums, whose order is its own.
constexpr double kSumTolerance = 1e-5;

class Gpu : public testing::Test {
 protected:
  void SetUp() override {
    // All ranks skip, or none does.
    const bool missing = world().all().all_reduce_max(int64_t{num_gpus() == 0}) != 0;
    if (missing) GTEST_SKIP() << "no GPU: " << why_no_gpu();
    device_ = open_device(world(), "cuda");
  }

  static World& world() { return multi_rank_world(); }
  at::Device device_ = at::kCPU;
};

TEST_F(Gpu, RoutesLikeTheCpu) {
  expect_routing_like_cpu(device_);
}
TEST_F(Gpu, ComputesLayersLikeTheCpu) {
  expect_layers_like_cpu(device_);
}
TEST_F(Gpu, ComputesExpertsLikeTheCpu) {
  expect_experts_like_cpu(device_);
}
TEST_F(Gpu, UpdatesLikeTheCpu) {
  expect_updates_like_cpu(device_);
}

TEST_F(Gpu, StagedVerbsGiveWhatHostTensorsGiveToTheBit) {
  Mesh mesh(world(), {.expert = world().size(), .backend = "staged"}, device_);
  expect_verbs_like_host(mesh.expert(), device_, /*sum_tolerance=*/0);
}

TEST_F(Gpu, NcclVerbsGiveWhatHostTensorsGive) {
  if (device_is_shared(world(), device_)) GTEST_SKIP() << "NCCL needs a GPU for every rank";
  const auto transport = make_nccl_transport(world().all(), device_);
  expect_transport_like_host(*transport, world().all(), device_, kSumTolerance);
}

TEST_F(Gpu, TrainsLikeTheCpuInFp32) {
  expect_training_like_cpu(world(), device_, {});
}
TEST_F(Gpu, TrainsLikeTheCpuInFp32Staged) {
  expect_training_like_cpu(world(), device_, {.backend = "staged"});
}
TEST_F(Gpu, TrainsLikeTheCpuWithRecomputation) {
  expect_training_like_cpu(world(), device_, {.recompute = true});
}
TEST_F(Gpu, TrainsLikeTheCpuWithEveryLossBiasGroupsAndCapacity) {
  expect_training_like_cpu(world(), device_, {.every_loss = true});
}
TEST_F(Gpu, TrainsLikeTheCpuInBf16WithinItsRounding) {
  expect_training_like_cpu(world(), device_,
                           {.dtype = at::kBFloat16, .loss_tolerance = 0.02, .state_tolerance = 0.09});
}
TEST_F(Gpu, CheckpointsTravelBetweenDeviceAndCpu) {
  const SharedDirectory directory(world().all());
  expect_checkpoint_travels(world(), device_, directory.path("checkpoints"));
}

TEST_F(Gpu, LayersCanBeTimed) {
  const MoeShape shape{.tokens = 64,
                       .hidden_size = 64,
                       .moe_intermediate_size = 32,
                       .n_routed_experts = 8,
                       .num_experts_per_tok = 2,
                       .bf16 = true,
                       .device = "cuda"};
  for (const auto& timed : moe_cases(world(), shape)) EXPECT_GT(timed.run(), 0) << timed.name;
}

}  // namespace
}  // namespace granule
