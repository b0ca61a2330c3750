#include "comm/mesh.h"

#include <gtest/gtest.h>

#include "tests/multi_rank/multi_rank.h"
#include "tests/support/communicator_checks.h"

namespace granule {
namespace {

// The world ranks of a group's members, in the group's order, as the group itself tells.
std::vector<int> members(Communicator& group, int world_rank) {
  std::vector<int> ranks;
  for (const auto& rank : group.all_gather_bytes(std::to_string(world_rank)))
    ranks.push_back(std::stoi(rank));
  return ranks;
}

// All (data, expert) with data x expert = ranks.
class MeshOfEveryLayout : public testing::Test {
 protected:
  void for_each_layout(const std::function<void(Mesh&, const ParallelConfig&)>& body) {
    auto& world = multi_rank_world();
    for (int64_t expert = 1; expert <= world.size(); ++expert) {
      if (world.size() % expert != 0) continue;
      const ParallelConfig config{.expert = expert, .data = world.size() / expert};
      Mesh mesh(world, config);
      body(mesh, config);
    }
  }
};

TEST_F(MeshOfEveryLayout, GroupsHoldTheRanksOfTheirAxis) {
  for_each_layout([](Mesh& mesh, const ParallelConfig& config) {
    const int rank = mesh.world().rank();
    const auto groups = mesh_groups(config, mesh.world().size(), rank);
    EXPECT_EQ(members(mesh.expert(), rank), groups.expert);
    EXPECT_EQ(members(mesh.data(), rank), groups.data);
    EXPECT_EQ(members(mesh.replica(), rank), groups.replica);
    EXPECT_EQ(mesh.expert().rank(), rank % config.expert);
    EXPECT_EQ(mesh.data().rank(), rank / config.expert);
  });
}

TEST_F(MeshOfEveryLayout, GroupsCommunicateIndependently) {
  for_each_layout([](Mesh& mesh, const ParallelConfig&) {
    for (auto* group : {&mesh.expert(), &mesh.data(), &mesh.replica()}) {
      expect_reductions_like_loops(*group);
      expect_gathers_like_loops(*group);
      expect_exchanges_like_loops(*group);
      expect_row_gradients_travel_back(*group);
    }
  });
}

}  // namespace
}  // namespace granule
