#include <gtest/gtest.h>

#include <chrono>
#include <iostream>
#include <numeric>
#include <string>

#include "base/text.h"
#include "tests/multi_rank/multi_rank.h"

namespace granule {

namespace {

World* program_world = nullptr;

struct Flags {
  int64_t hang_seconds = 60;
  bool with_misbehaviour = false;
};

Flags read_flags(int argc, char** argv) {
  Flags flags;
  const std::string hang_seconds = "--hang_seconds=";
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag.starts_with(hang_seconds)) {
      flags.hang_seconds = std::stoll(flag.substr(hang_seconds.size()));
    } else if (flag == "--with_misbehaviour") {
      flags.with_misbehaviour = true;
    } else {
      throw std::runtime_error("unknown flag " + flag);
    }
  }
  return flags;
}

// Says at once what failed on a rank whose printer is silent: the others may be hanging by then.
class FailurePrinter : public testing::EmptyTestEventListener {
 public:
  explicit FailurePrinter(int rank) : rank_(rank) {}

 private:
  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (!result.failed()) return;
    const char* file = result.file_name() != nullptr ? result.file_name() : "?";
    std::cerr << join_text("rank ", rank_, ": ", file, ":", result.line_number(), ": ", result.message(),
                           "\n");
  }

  int rank_;
};

// Meets after each test and fails rank 0's test with the others'.
class FailureCollector : public testing::EmptyTestEventListener {
 public:
  explicit FailureCollector(Communicator& ranks) : ranks_(ranks) {}

 private:
  void OnTestEnd(const testing::TestInfo& test) override {
    const auto outcomes = ranks_.all_gather_bytes(test.result()->Failed() ? "failed" : "");
    if (ranks_.rank() != 0) return;
    std::vector<std::string> failed;
    for (int rank = 1; rank < ranks_.size(); ++rank) {
      if (!outcomes[rank].empty()) failed.push_back(std::to_string(rank));
    }
    if (!failed.empty()) ADD_FAILURE() << "failed on rank " << join(failed, ", ") << "; messages stand above";
  }

  Communicator& ranks_;
};

// 1 to 99999, as GoogleTest wants it; its own choice for 0 would differ by rank.
int64_t random_seed() {
  const int chosen = GTEST_FLAG_GET(random_seed);
  return chosen != 0 ? chosen : 1 + std::chrono::system_clock::now().time_since_epoch().count() % 99999;
}

int run_tests(World& world, int argc, char** argv) {
  program_world = &world;
  testing::InitGoogleTest(&argc, argv);
  const auto flags = read_flags(argc, argv);
  if (flags.with_misbehaviour) register_misbehaviour();

  std::vector<int> ranks(static_cast<size_t>(world.size()));
  std::iota(ranks.begin(), ranks.end(), 0);
  const auto harness = world.group("test harness", ranks);
  auto& listeners = testing::UnitTest::GetInstance()->listeners();
  if (world.rank() != 0) {
    delete listeners.Release(listeners.default_result_printer());
    delete listeners.Release(listeners.default_xml_generator());
    listeners.Append(new FailurePrinter(world.rank()));
  }
  listeners.Append(new FailureCollector(*harness));
  // The same order on all ranks, also when shuffled by the time of day.
  GTEST_FLAG_SET(random_seed, static_cast<int>(harness->all_reduce_max(random_seed())));

  const auto watchdog = world.watch_for_hangs(std::chrono::seconds(flags.hang_seconds));
  const int result = RUN_ALL_TESTS();
  std::cout.flush();
  // Only rank 0's result counts: it has collected the others', and mpirun ends everybody at the first bad
  // one.
  harness->barrier();
  return world.rank() == 0 ? result : 0;
}

}  // namespace

World& multi_rank_world() {
  return *program_world;
}

}  // namespace granule

int main(int argc, char** argv) {
  return granule::run_in_world([&](granule::World& world) { return granule::run_tests(world, argc, argv); });
}
