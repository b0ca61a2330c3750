#include "comm/backend.h"

#include <gtest/gtest.h>

#include "base/check.h"
#include "comm/loopback_communicator.h"
#include "comm/staged_transport.h"

namespace granule {
namespace {

const at::Device kCpu{at::kCPU};
const at::Device kGpu{at::kCUDA, 0};

std::string refusal(const std::string& requested, at::Device device, bool shares_device) {
  try {
    choose_backend(requested, device, shares_device);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Backend, AutoGoesByTheDevice) {
  EXPECT_EQ(choose_backend("auto", kCpu, false), Backend::kMpi);
  EXPECT_EQ(choose_backend("auto", kCpu, true), Backend::kMpi);
  EXPECT_EQ(choose_backend("auto", kGpu, false), Backend::kNccl);
  EXPECT_EQ(choose_backend("auto", kGpu, true), Backend::kStaged);
  EXPECT_EQ(choose_backend("auto", at::Device(at::kMeta), false), Backend::kStaged);
}

TEST(Backend, WhatIsAskedForIsTakenWhereItCanBe) {
  EXPECT_EQ(choose_backend("mpi", kCpu, false), Backend::kMpi);
  EXPECT_EQ(choose_backend("staged", kGpu, false), Backend::kStaged);
  EXPECT_EQ(choose_backend("staged", kGpu, true), Backend::kStaged);
  EXPECT_EQ(choose_backend("nccl", kGpu, false), Backend::kNccl);
}

TEST(Backend, RefusesWhatTheDeviceCannotDo) {
  EXPECT_EQ(refusal("staged", kCpu, false),
            "parallel.backend = staged carries GPU memory, but train.device = cpu");
  EXPECT_EQ(refusal("nccl", kCpu, false),
            "parallel.backend = nccl carries GPU memory, but train.device = cpu");
  EXPECT_EQ(refusal("mpi", kGpu, false),
            "parallel.backend = mpi carries host memory, but the model is on a GPU; use staged or nccl");
  EXPECT_EQ(refusal("nccl", kGpu, true),
            "parallel.backend = nccl needs a GPU for every rank, but ranks share one; use staged, or start "
            "fewer ranks");
}

TEST(Backend, GroupsOfOneAndHostMemoryNeedNoTransport) {
  LoopbackCommunicator one("one", std::make_shared<CollectiveLog>());
  EXPECT_EQ(make_device_transport(Backend::kStaged, one, kGpu), nullptr);
  run_loopback(2, [](Communicator& group) {
    EXPECT_EQ(make_device_transport(Backend::kMpi, group, kCpu), nullptr);
    EXPECT_NE(dynamic_cast<StagedTransport*>(make_device_transport(Backend::kStaged, group, kGpu).get()),
              nullptr);
  });
}

}  // namespace
}  // namespace granule
