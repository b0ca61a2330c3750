#include "comm/software.h"

#include <gtest/gtest.h>

#include <mutex>

#include "base/check.h"
#include "comm/loopback_communicator.h"

namespace granule {
namespace {

// What each of 3 ranks says of versions of which `rank` has another NCCL; "agreed" if nothing.
std::vector<std::string> said_by_ranks(int other_rank) {
  std::vector<std::string> said(3);
  run_loopback(3, [&](Communicator& world) {
    const Software mine{{"torch", "2.11.0"}, {"NCCL", world.rank() == other_rank ? "2.27.3" : "2.28.9"}};
    auto& text = said[static_cast<size_t>(world.rank())];
    try {
      agree_on_software(mine, world);
      text = "agreed";
    } catch (const UserError& error) {
      text = error.what();
    }
  });
  return said;
}

TEST(Software, PrintsNamesAndVersions) {
  EXPECT_EQ(print_software({{"torch", "2.11.0"}, {"CUDA", "13.0"}}), "torch 2.11.0, CUDA 13.0");
}

TEST(Software, RanksWithTheSameVersionsAgree) {
  EXPECT_EQ(said_by_ranks(-1), std::vector<std::string>(3, "agreed"));
}

TEST(Software, ARankWithAnotherVersionIsNamedOnAllRanks) {
  EXPECT_EQ(said_by_ranks(2), std::vector<std::string>(
                                  3,
                                  "rank 2 runs torch 2.11.0, NCCL 2.27.3, but rank 0 runs torch 2.11.0, NCCL "
                                  "2.28.9; all ranks must have the same versions"));
  // Of two that differ from rank 0 the first is named.
  EXPECT_EQ(said_by_ranks(0).front().substr(0, 12), "rank 1 runs ");
}

}  // namespace
}  // namespace granule
