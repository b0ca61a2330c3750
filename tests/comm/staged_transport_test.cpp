#include "comm/staged_transport.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "comm/loopback_communicator.h"
#include "tests/support/communicator_checks.h"
#include "tests/support/device_checks.h"
#include "tests/support/pretend_device.h"

namespace granule {
namespace {

TEST(StagedTransport, GivesWhatTheHostGivesToTheBit) {
  for (const int ranks : {1, 2, 3}) {
    run_loopback(ranks, [](Communicator& group) {
      StagedTransport transport(group);
      expect_transport_like_host(transport, group, pretend_device(), /*sum_tolerance=*/0);
    });
  }
}

TEST(StagedTransport, CarriesTheDeviceTensorsOfItsGroup) {
  run_loopback(3, [](Communicator& group) {
    group.set_device_transport(std::make_shared<StagedTransport>(group));
    expect_verbs_like_host(group, pretend_device(), /*sum_tolerance=*/0);
  });
}

TEST(StagedTransport, WithoutOneDeviceTensorsAreRefused) {
  run_loopback(2, [](Communicator& group) {
    auto tensor = at::zeros({3}).to(pretend_device());
    EXPECT_THROW(group.all_reduce_sum(tensor), std::logic_error);
    auto host = at::zeros({6});
    EXPECT_THROW(group.all_gather(tensor, host), std::logic_error);
    expect_bytes_gathered(group);  // usable still
  });
}

}  // namespace
}  // namespace granule
