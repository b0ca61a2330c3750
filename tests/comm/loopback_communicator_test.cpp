#include "comm/loopback_communicator.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace granule {
namespace {

std::string failure_of(int num_ranks, const std::function<void(Communicator&)>& body) {
  try {
    run_loopback(num_ranks, body);
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

TEST(Loopback, RethrowsTheFailureOfARankAndReleasesThoseThatWaitForIt) {
  const auto text = failure_of(4, [](Communicator& group) {
    group.barrier();
    if (group.rank() == 2) throw std::runtime_error("rank 2 has had enough");
    for (int i = 0; i < 3; ++i) group.all_reduce_sum(int64_t{1});
  });
  EXPECT_EQ(text, "rank 2 has had enough");
}

TEST(Loopback, ReportsRanksThatWaitForOneThatHasFinished) {
  const auto text = failure_of(3, [](Communicator& group) {
    if (group.rank() != 1) group.barrier();
  });
  EXPECT_NE(text.find("waits for rank 1, which has left"), std::string::npos) << text;
}

TEST(Loopback, ReportsRanksInDifferentCollectives) {
  const auto text = failure_of(2, [](Communicator& group) {
    auto tensor = at::zeros({4});
    if (group.rank() == 0)
      group.broadcast(tensor, 0);
    else
      group.barrier();
  });
  EXPECT_NE(text.find("barrier"), std::string::npos) << text;
  EXPECT_NE(text.find("broadcast"), std::string::npos) << text;
}

TEST(Loopback, ReportsRanksThatDisagreeOnLengths) {
  const auto text = failure_of(2, [](Communicator& group) {
    auto tensor = at::zeros({4 + group.rank()});
    group.broadcast(tensor, 0);
  });
  EXPECT_NE(text.find("bytes from rank 0"), std::string::npos) << text;
}

}  // namespace
}  // namespace granule
