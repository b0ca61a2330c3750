#include <gtest/gtest.h>

#include <csignal>
#include <functional>
#include <stdexcept>

#include "base/check.h"
#include "tests/multi_rank/multi_rank.h"

namespace granule {

namespace {

using Act = std::function<void(World&)>;

class Misbehaviour : public testing::Test {
 public:
  explicit Misbehaviour(Act act) : act_(std::move(act)) {}

 private:
  void TestBody() override { act_(multi_rank_world()); }

  Act act_;
};

bool is_last(const World& world) {
  return world.rank() == world.size() - 1;
}

void add(const char* name, const Act& act) {
  testing::RegisterTest("Misbehaviour", name, nullptr, nullptr, __FILE__, __LINE__,
                        [act]() -> testing::Test* { return new Misbehaviour(act); });
}

// The last rank does `act`, the others wait for it.
void add_on_last_rank(const char* name, const std::function<void()>& act) {
  add(name, [act](World& world) {
    world.all().barrier();
    if (is_last(world)) act();
    world.all().all_reduce_sum(int64_t{1});
  });
}

}  // namespace

void register_misbehaviour() {
  add("FailsOnTheLastRank", [](World& world) { EXPECT_FALSE(is_last(world)) << "a wrong number"; });
  add("LeavesFatallyOnTheLastRank", [](World& world) {
    ASSERT_FALSE(is_last(world)) << "a fatal number";
    world.all().barrier();
  });
  add_on_last_rank("ThrowsConfigError", [] { throw ConfigError("model.depth", 0, "must be positive"); });
  add_on_last_rank("ThrowsInputError", [] { throw InputError("tokens.bin", "ends after 3 bytes"); });
  add_on_last_rank("ThrowsStandardException", [] { throw std::runtime_error("the roof is on fire"); });
  add_on_last_rank("StopsForEver", [] { raise(SIGSTOP); });
  add_on_last_rank("DiesSilently", [] { raise(SIGKILL); });
}

}  // namespace granule
