#include "comm/collective_log.h"

#include <gtest/gtest.h>

#include <thread>
#include <tuple>

#include "comm/loopback_communicator.h"

namespace granule {
namespace {

TEST(CollectiveLog, ShowsTheOldestInProgressUntilItEnds) {
  CollectiveLog log;
  EXPECT_FALSE(log.oldest_in_progress());
  {
    const auto first = log.enter("all_gather", "data", 5, 64);
    {
      const auto second = log.enter("barrier", "expert", 1, 0);
      ASSERT_TRUE(log.oldest_in_progress());
      EXPECT_EQ(describe(*log.oldest_in_progress()), "all_gather #5 of group data, 64 bytes");
    }
    EXPECT_EQ(log.oldest_in_progress()->verb, "all_gather");
  }
  EXPECT_FALSE(log.oldest_in_progress());
  ASSERT_EQ(log.finished().size(), 2u);
  EXPECT_EQ(log.finished()[0].verb, "barrier");
  EXPECT_EQ(log.finished()[1].verb, "all_gather");
}

TEST(CollectiveLog, KeepsTheLastOnes) {
  CollectiveLog log;
  constexpr int64_t kNumEntries = CollectiveLog::kKept + 3;
  for (int64_t i = 0; i < kNumEntries; ++i) std::ignore = log.enter("barrier", "world", i, 0);
  ASSERT_EQ(log.finished().size(), CollectiveLog::kKept);
  EXPECT_EQ(log.finished().front().sequence, 3);
  EXPECT_EQ(log.finished().back().sequence, kNumEntries - 1);
}

TEST(CollectiveLog, EndsAnEntryThatAnExceptionLeaves) {
  CollectiveLog log;
  EXPECT_THROW(
      {
        const auto entry = log.enter("broadcast", "world", 1, 8);
        throw std::runtime_error("torn");
      },
      std::runtime_error);
  EXPECT_FALSE(log.oldest_in_progress());
}

TEST(CollectiveLog, TakesEntriesOfManyThreads) {
  CollectiveLog log;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&log] {
      for (int64_t i = 0; i < 1000; ++i) {
        const auto entry = log.enter("barrier", "world", i, 0);
        EXPECT_TRUE(log.oldest_in_progress());
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_FALSE(log.oldest_in_progress());
}

TEST(CollectiveLog, KeepsWhatADeviceHasNotDoneInProgress) {
  CollectiveLog log;
  bool first_done = false, second_done = false;
  log.set_step(8);
  {
    auto first = log.enter("all_reduce_sum", "replica (ranks 0, 2)", 1, 64);
    first.finish_when([&] { return first_done; });
  }
  {
    auto second = log.enter("broadcast", "replica", 2, 64);
    second.finish_when([&] { return second_done; });
  }
  ASSERT_TRUE(log.oldest_in_progress());
  EXPECT_EQ(describe(*log.oldest_in_progress()),
            "all_reduce_sum #1 of group replica (ranks 0, 2), 64 bytes, step 8");
  // A device does them in order.
  second_done = true;
  EXPECT_EQ(log.oldest_in_progress()->sequence, 1);
  EXPECT_TRUE(log.finished().empty());
  first_done = true;
  EXPECT_FALSE(log.oldest_in_progress());
  ASSERT_EQ(log.finished().size(), 2u);
  EXPECT_EQ(log.finished()[0].sequence, 1);
}

TEST(CollectiveLog, ForgetsWhatADeviceHasDoneAlsoWhenNobodyAsks) {
  CollectiveLog log;
  for (int64_t i = 0; i < 100; ++i) {
    auto entry = log.enter("all_reduce_sum", "replica", i, 8);
    entry.finish_when([] { return true; });
  }
  EXPECT_EQ(log.finished().size(), CollectiveLog::kKept);
  EXPECT_EQ(log.finished().back().sequence, 98);
}

// A backend that looks into the log while it works.
class Watched : public Communicator {
 public:
  explicit Watched(std::shared_ptr<CollectiveLog> log)
      : Communicator("watched", 0, 2, log), log_(std::move(log)) {}
  std::vector<std::string> seen;

 private:
  void look() { seen.push_back(describe(*log_->oldest_in_progress())); }
  void exchange_blocks(const std::byte*, std::span<const Block>, std::byte*,
                       std::span<const Block>) override {
    look();
  }
  void gather_equal_bytes(const std::byte*, int64_t, std::byte*) override { look(); }
  void spread_bytes(std::byte*, int64_t, int) override { look(); }
  void wait_for_all() override { look(); }

  std::shared_ptr<CollectiveLog> log_;
};

TEST(CollectiveLog, NamesTheCollectiveOfACommunicator) {
  const auto log = std::make_shared<CollectiveLog>();
  Watched group(log);
  group.all_reduce_sum(int64_t{1});
  group.barrier();
  EXPECT_EQ(group.seen, (std::vector<std::string>{"all_reduce_sum #1 of group watched, 8 bytes",
                                                  "barrier #2 of group watched, 0 bytes"}));
  EXPECT_EQ(log->finished().size(), 2u);
}

TEST(CollectiveLog, NamesTheRanksOfACommunicatorThatKnowsThem) {
  const auto log = std::make_shared<CollectiveLog>();
  Watched group(log);
  for (const auto& ranks : {std::vector<int>{3}, {0, 2}, {0, 8, 16, 24, 32}, {0, 1, 2, 3, 5}}) {
    group.set_world_ranks(ranks);
    group.barrier();
  }
  EXPECT_EQ(group.seen,
            (std::vector<std::string>{"barrier #1 of group watched (ranks 3), 0 bytes",
                                      "barrier #2 of group watched (ranks 0, 2), 0 bytes",
                                      "barrier #3 of group watched (ranks 0, 8 ... 32), 0 bytes",
                                      "barrier #4 of group watched (ranks 0, 1, 2, 3, 5), 0 bytes"}));
}

}  // namespace
}  // namespace granule
