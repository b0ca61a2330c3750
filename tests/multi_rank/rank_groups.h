#pragma once
// The groups of ranks that a layout has, for tests that train on some of the world's ranks.

#include <memory>
#include <vector>

#include "comm/mesh.h"
#include "tests/multi_rank/multi_rank.h"

namespace granule {

struct RankGroups {
  std::unique_ptr<Communicator> expert, data, replica;
};

/// Of a job of data x expert ranks, the first of the world. Collective over the world.
inline RankGroups groups_of(int data, int expert) {
  auto& world = multi_rank_world();
  ParallelConfig config;
  config.expert = expert;
  config.data = data;
  const auto groups = mesh_groups(config, data * expert, world.rank());
  return {world.group("expert", groups.expert), world.group("data", groups.data),
          world.group("replica", groups.replica)};
}

/// Every rank a job of its own. Collective over the world.
inline RankGroups groups_of_one() {
  auto& world = multi_rank_world();
  const std::vector<int> me{world.rank()};
  return {world.group("expert", me), world.group("data", me), world.group("replica", me)};
}

}  // namespace granule
