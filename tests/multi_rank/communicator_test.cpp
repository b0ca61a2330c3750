#include "comm/communicator.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "comm/mpi_alltoallv.h"
#include "comm/world.h"
#include "tests/multi_rank/multi_rank.h"
#include "tests/support/communicator_checks.h"

namespace granule {
namespace {

TEST(MpiCommunicator, ReducesLikeALoopInRankOrderToTheBit) {
  expect_reductions_like_loops(multi_rank_world().all());
}
TEST(MpiCommunicator, ReducesLargeBuffersPieceByPieceLikeALoop) {
  expect_large_reductions_like_loops(multi_rank_world().all());
}
TEST(MpiCommunicator, GathersLikeALoop) {
  expect_gathers_like_loops(multi_rank_world().all());
}
TEST(MpiCommunicator, ExchangesLikeALoop) {
  expect_exchanges_like_loops(multi_rank_world().all());
}
TEST(MpiCommunicator, BroadcastsFromEveryRoot) {
  expect_broadcasts_from_every_root(multi_rank_world().all());
}
TEST(MpiCommunicator, GathersBytesOfDifferentLengths) {
  expect_bytes_gathered(multi_rank_world().all());
}
TEST(MpiCommunicator, RowsGoOutAndTheirGradientsComeBack) {
  expect_row_gradients_travel_back(multi_rank_world().all());
}

TEST(MpiCommunicator, ExchangesRowsAsMpiDoesItself) {
  auto& world = multi_rank_world().all();
  // Rank r sends r + to + 1 rows to rank `to`.
  std::vector<int64_t> send_rows, receive_rows;
  int64_t sent_rows = 0, received_rows = 0;
  for (int64_t other = 0; other < world.size(); ++other) {
    sent_rows += send_rows.emplace_back(world.rank() + other + 1);
    received_rows += receive_rows.emplace_back(other + world.rank() + 1);
  }
  const auto sent = at::arange(sent_rows * 3, at::kFloat).view({sent_rows, 3}) + 1000.0 * world.rank();
  auto ours = at::zeros({received_rows, 3}), theirs = at::zeros({received_rows, 3});
  world.all_to_all_rows(sent, send_rows, ours, receive_rows);
  mpi_alltoallv(sent, send_rows, theirs, receive_rows);
  EXPECT_TRUE(ours.equal(theirs));
}

TEST(MpiCommunicator, NoticesRanksThatDisagreeOnTheNumberOfRows) {
  auto& world = multi_rank_world().all();
  if (world.size() == 1) GTEST_SKIP() << "needs two ranks";
  // Everybody sends 4 rows to everybody, and rank 0 expects 5 of each other rank.
  const int64_t size = world.size();
  const std::vector<int64_t> send_rows(static_cast<size_t>(size), 4);
  std::vector<int64_t> receive_rows = send_rows;
  if (world.rank() == 0) std::fill(receive_rows.begin() + 1, receive_rows.end(), 5);
  const auto sent = contribution(world.rank(), 4 * size, at::kFloat);
  auto received = contribution(world.rank(), world.rank() == 0 ? 5 * size - 1 : 4 * size, at::kFloat);
  if (world.rank() == 0) {
    EXPECT_THROW(world.all_to_all_rows(sent, send_rows, received, receive_rows), std::logic_error);
  } else {
    world.all_to_all_rows(sent, send_rows, received, receive_rows);
  }
  // The group is usable still.
  expect_bytes_gathered(world);
}

}  // namespace
}  // namespace granule
