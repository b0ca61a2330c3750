#include "comm/communicator.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

#include "comm/loopback_communicator.h"
#include "tests/support/communicator_checks.h"

namespace granule {
namespace {

class CommunicatorOfRanks : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Loopback, CommunicatorOfRanks, testing::Values(1, 2, 3, 4, 5));

TEST_P(CommunicatorOfRanks, ReducesLikeALoopInRankOrderToTheBit) {
  run_loopback(GetParam(), expect_reductions_like_loops);
}
TEST_P(CommunicatorOfRanks, GathersLikeALoop) {
  run_loopback(GetParam(), expect_gathers_like_loops);
}
TEST_P(CommunicatorOfRanks, ExchangesLikeALoop) {
  run_loopback(GetParam(), expect_exchanges_like_loops);
}
TEST_P(CommunicatorOfRanks, BroadcastsFromEveryRoot) {
  run_loopback(GetParam(), expect_broadcasts_from_every_root);
}
TEST_P(CommunicatorOfRanks, GathersBytesOfDifferentLengths) {
  run_loopback(GetParam(), expect_bytes_gathered);
}

TEST(Communicator, ReducesLargeBuffersPieceByPieceLikeALoop) {
  for (const int ranks : {2, 3}) run_loopback(ranks, expect_large_reductions_like_loops);
}

TEST(Communicator, CarriesANaNOfAnyRankThroughAMaximum) {
  for (int source = 0; source < 3; ++source) {
    run_loopback(3, [&](Communicator& group) {
      auto value = at::full({2}, 1.0, at::kFloat);
      if (group.rank() == source) value[1] = std::numeric_limits<float>::quiet_NaN();
      group.all_reduce_max(value);
      EXPECT_EQ(value[0].item<float>(), 1.0f);
      EXPECT_TRUE(std::isnan(value[1].item<float>())) << "from rank " << source;
    });
  }
}

// A backend that must not be needed.
class Alone : public Communicator {
 public:
  Alone() : Communicator("alone", 0, 1, std::make_shared<CollectiveLog>()) {}

 private:
  [[noreturn]] static void fail() { throw std::logic_error("a group of one called its backend"); }
  void exchange_blocks(const std::byte*, std::span<const Block>, std::byte*,
                       std::span<const Block>) override {
    fail();
  }
  void gather_equal_bytes(const std::byte*, int64_t, std::byte*) override { fail(); }
  void spread_bytes(std::byte*, int64_t, int) override { fail(); }
  void wait_for_all() override { fail(); }
};

TEST(Communicator, NeedsNoBackendInAGroupOfOne) {
  Alone group;
  expect_reductions_like_loops(group);
  expect_gathers_like_loops(group);
  expect_exchanges_like_loops(group);
  expect_broadcasts_from_every_root(group);
  expect_bytes_gathered(group);
  expect_row_gradients_travel_back(group);
  group.barrier();
}

TEST(Communicator, RefusesAtTheDoorWhatItCannotCarry) {
  run_loopback(2, [](Communicator& group) {
    auto half = at::zeros({4}, at::kBFloat16);
    EXPECT_THROW(group.all_reduce_sum(half), std::logic_error);
    auto strided = at::zeros({4, 2}).t();
    EXPECT_THROW(group.all_reduce_sum(strided), std::logic_error);
    EXPECT_THROW(group.broadcast(strided, 0), std::logic_error);
    auto any = at::zeros({4});
    EXPECT_THROW(group.broadcast(any, 2), std::logic_error);
    EXPECT_THROW(group.all_gather(at::zeros({3}), any), std::logic_error);
    EXPECT_THROW(group.all_gather(at::zeros({2}, at::kLong), any), std::logic_error);
    EXPECT_THROW(group.reduce_scatter_sum(at::zeros({6}), any), std::logic_error);
    EXPECT_THROW(group.all_to_all(at::zeros({3, 2}), any), std::logic_error);
  });
}

TEST(Communicator, RefusesRowCountsThatDoNotFitTheTensors) {
  run_loopback(2, [](Communicator& group) {
    const auto sent = at::zeros({3, 2});
    auto received = at::zeros({4, 2});
    using Counts = std::vector<int64_t>;
    const auto exchange = [&](const at::Tensor& rows, const Counts& send, at::Tensor& to,
                              const Counts& receive) { group.all_to_all_rows(rows, send, to, receive); };
    EXPECT_THROW(exchange(sent, {1, 1}, received, {2, 2}), std::logic_error);
    EXPECT_THROW(exchange(sent, {1, 2}, received, {2, 1}), std::logic_error);
    EXPECT_THROW(exchange(sent, {3}, received, {2, 2}), std::logic_error);
    EXPECT_THROW(exchange(sent, {4, -1}, received, {2, 2}), std::logic_error);
    auto wider = at::zeros({4, 3});
    EXPECT_THROW(exchange(sent, {1, 2}, wider, {2, 2}), std::logic_error);
  });
}

}  // namespace
}  // namespace granule
