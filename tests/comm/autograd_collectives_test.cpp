#include "comm/autograd_collectives.h"

#include <gtest/gtest.h>

#include "comm/loopback_communicator.h"
#include "tests/support/communicator_checks.h"

namespace granule {
namespace {

TEST(AutogradCollectives, RowsGoOutAndTheirGradientsComeBack) {
  for (const int ranks : {1, 2, 3, 4, 5}) run_loopback(ranks, expect_row_gradients_travel_back);
}

}  // namespace
}  // namespace granule
