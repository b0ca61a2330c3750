#include "optim/optimizer.h"

#include <gtest/gtest.h>

#include "comm/mesh.h"
#include "tests/multi_rank/multi_rank.h"
#include "tests/support/checkpoint_run.h"
#include "tests/support/temporary_directory.h"

namespace granule {
namespace {

// Gradients whose sums are exact: N processes must give the state of one thread to the last bit.
TEST(Optimizer, EveryLayoutOfTheseRanksGivesTheStateOfOneRankBitByBit) {
  auto& world = multi_rank_world();
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    NamedState expected;
    double expected_norm = 0;
    StateCollector collector;
    run_layout(1, 1, [&](const LayoutRank& rank) {
      const auto parameters = coded_parameters(rank, 3, dtype);
      Optimizer optimizer(parameters, rank.groups, {});
      run_updates(parameters, rank, optimizer, 1, 4);
      collector.add(parameters, optimizer);
      optimizer.zero_gradients();
      write_coded_gradients(parameters, rank, 5);
      expected_norm = optimizer.reduce_gradients();
    });
    for (const int expert : {1, 2, 4}) {
      if (world.size() % expert != 0) continue;
      Mesh mesh(world, {.expert = expert});
      const LayoutRank rank{{mesh.world(), mesh.replica(), mesh.data()}, mesh.expert().rank(), expert};
      const auto parameters = coded_parameters(rank, 3, dtype);
      Optimizer optimizer(parameters, rank.groups, {});
      run_updates(parameters, rank, optimizer, 1, 4);
      expect_own_state(parameters, optimizer, collector.state(),
                       join_text("with parallel.expert = ", expert));
      optimizer.zero_gradients();
      write_coded_gradients(parameters, rank, 5);
      EXPECT_EQ(optimizer.reduce_gradients(), expected_norm);
    }
  }
}

}  // namespace
}  // namespace granule
