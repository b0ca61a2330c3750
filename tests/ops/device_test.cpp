// The operators' way for tensors that are not in host memory, against the CPU's kernels.

#include <gtest/gtest.h>

#include "tests/support/device_checks.h"
#include "tests/support/pretend_device.h"

namespace granule {
namespace {

TEST(Device, RoutesLikeTheCpu) {
  expect_routing_like_cpu(pretend_device());
}
TEST(Device, ComputesLayersLikeTheCpu) {
  expect_layers_like_cpu(pretend_device());
}
TEST(Device, ComputesExpertsLikeTheCpu) {
  expect_experts_like_cpu(pretend_device());
}
TEST(Device, UpdatesLikeTheCpu) {
  expect_updates_like_cpu(pretend_device());
}

}  // namespace
}  // namespace granule
