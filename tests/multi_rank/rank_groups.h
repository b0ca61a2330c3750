#pragma once
// The groups of ranks that a layout has, for tests that train on some of the world's ranks; and what training on
// several layouts is compared by.

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
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

/// Calls `test(groups)` for every way to split all ranks into data x expert. Collective over the world.
template <class Test>
void for_every_layout(const Test& test) {
  const int size = multi_rank_world().size();
  for (int expert = 1; expert <= size; ++expert) {
    if (size % expert != 0) continue;
    SCOPED_TRACE(join_text("data ", size / expert, " x expert ", expert));
    test(groups_of(size / expert, expert));
  }
}

/// What some steps of training leave behind.
struct TrainingTrace {
  std::vector<double> losses, norms;             // of each step
  std::map<std::string, at::Tensor> parameters;  // pieces this rank holds, after the last step
};

inline void expect_same_training(const TrainingTrace& actual, const TrainingTrace& expected) {
  for (size_t s = 0; s < expected.losses.size(); ++s) {
    EXPECT_NEAR(actual.losses[s] / expected.losses[s], 1, 1e-5) << "step " << s;
    EXPECT_NEAR(actual.norms[s] / expected.norms[s], 1, 1e-4) << "step " << s;
  }
  for (const auto& [name, values] : actual.parameters) {
    EXPECT_LT((values - expected.parameters.at(name)).abs().max().item<double>(), 2e-4) << name;
  }
}

}  // namespace granule
