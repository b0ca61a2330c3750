#include "comm/core_set.h"

#include <gtest/gtest.h>

namespace granule {
namespace {

TEST(CoreSet, CountsUnionsAndTravelsAsBytes) {
  auto cores = CoreSet::of_cores(6, 4);
  EXPECT_EQ(cores.count(), 4);
  cores.add(CoreSet::of_cores(8, 10));
  EXPECT_EQ(cores.count(), 12);
  EXPECT_EQ(CoreSet::from_bytes(cores.bytes()).count(), 12);
}

TEST(CoreSet, OfThisProcessIsWhatTheSystemSays) {
  cpu_set_t mask;
  ASSERT_EQ(sched_getaffinity(0, sizeof(mask), &mask), 0);
  EXPECT_EQ(CoreSet::of_process(0).count(), CPU_COUNT(&mask));
}

TEST(ChooseThreads, SharesTheMachineAmongItsRanks) {
  const auto machine = CoreSet::of_cores(0, 64);
  EXPECT_EQ(choose_threads(0, machine, machine, 1).num_threads, 64);
  EXPECT_EQ(choose_threads(0, machine, machine, 4).num_threads, 16);
  EXPECT_EQ(choose_threads(0, machine, machine, 100).num_threads, 1);
  // Bound to exactly its share, as srun does.
  const auto bound = choose_threads(0, CoreSet::of_cores(16, 16), machine, 4);
  EXPECT_EQ(bound.num_threads, 16);
  EXPECT_EQ(bound.warning, "");
}

TEST(ChooseThreads, TakesTheUsersNumber) {
  const auto machine = CoreSet::of_cores(0, 2);
  const auto choice = choose_threads(3, machine, machine, 1);
  EXPECT_EQ(choice.num_threads, 3);
  EXPECT_EQ(choice.warning, "") << "no binding is to blame";
}

TEST(ChooseThreads, WarnsOfABindingThatLeavesThreadsWithoutCores) {
  const auto machine = CoreSet::of_cores(0, 64);
  const auto core = CoreSet::of_cores(5, 1);
  const auto shared = choose_threads(0, core, machine, 2);
  EXPECT_EQ(shared.num_threads, 1) << "32 threads on one core would be worse";
  EXPECT_EQ(
      shared.warning,
      "the launcher binds each rank to 1 of 64 cores, too few for 32 threads; start with `mpirun --bind-to "
      "none`");
  const auto requested = choose_threads(8, core, machine, 2);
  EXPECT_EQ(requested.num_threads, 8);
  EXPECT_NE(requested.warning.find("8 threads"), std::string::npos);
}

}  // namespace
}  // namespace granule
