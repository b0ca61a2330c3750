#include "comm/mesh.h"

#include <gtest/gtest.h>

#include "base/config.h"

namespace granule {
namespace {

using Ranks = std::vector<int>;

std::string refusal(const ParallelConfig& config, int64_t num_ranks) {
  try {
    config.check(num_ranks);
  } catch (const ConfigError& error) {
    return error.key() + ": " + error.what();
  }
  return "accepted";
}

TEST(ParallelConfig, AcceptsEveryProductOfItsAxes) {
  EXPECT_EQ(refusal({.expert = 1, .data = 0}, 1), "accepted");
  EXPECT_EQ(refusal({.expert = 2, .data = 3}, 6), "accepted");
  EXPECT_EQ(refusal({.expert = 6, .data = 0}, 6), "accepted");
  EXPECT_EQ(refusal({.expert = 2, .data = 2, .pipeline = 2}, 8), "accepted");
}

TEST(ParallelConfig, SaysWhichKeyMustDivideWhat) {
  EXPECT_EQ(refusal({.expert = 4}, 6),
            "parallel.expert: parallel.expert = 4 does not fit: ranks 6 = pipeline x data x expert, so "
            "parallel.expert must divide 6");
  EXPECT_EQ(refusal({.expert = 2, .pipeline = 4}, 6),
            "parallel.pipeline: parallel.pipeline = 4 does not fit: ranks 6 = pipeline x data x expert, so "
            "parallel.pipeline must divide 6");
  EXPECT_EQ(
      refusal({.expert = 2, .data = 2}, 6),
      "parallel.data: parallel.data = 2 does not fit: ranks 6 = pipeline x data x expert, so parallel.data "
      "must be 3 (or 0: all that are left) with parallel.expert = 2 and parallel.pipeline = 1; or start 4 "
      "ranks");
}

TEST(MeshGroups, ExpertIsTheInnermostAxis) {
  const auto groups = mesh_groups({.expert = 2}, 6, 3);
  EXPECT_EQ(groups.expert, (Ranks{2, 3}));
  EXPECT_EQ(groups.data, (Ranks{1, 3, 5}));
  EXPECT_EQ(groups.replica, (Ranks{0, 1, 2, 3, 4, 5}));
}

TEST(MeshGroups, StayInsideTheirPipelineStage) {
  const auto groups = mesh_groups({.expert = 2, .pipeline = 2}, 8, 6);
  EXPECT_EQ(groups.expert, (Ranks{6, 7}));
  EXPECT_EQ(groups.data, (Ranks{4, 6}));
  EXPECT_EQ(groups.replica, (Ranks{4, 5, 6, 7}));
}

TEST(Mesh, OfOneRankHasGroupsOfOne) {
  World world;
  Mesh mesh(world, {});
  for (auto* group : {&mesh.world(), &mesh.expert(), &mesh.data(), &mesh.replica()})
    EXPECT_EQ(group->size(), 1);
}

}  // namespace
}  // namespace granule
