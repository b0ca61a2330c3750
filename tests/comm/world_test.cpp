#include "comm/world.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <stdexcept>

namespace granule {
namespace {

// Sets or, with nullptr, removes an environment variable for as long as it lives.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before, was_set_ = true;
    assign(value);
  }
  ~Variable() { assign(was_set_ ? before_.c_str() : nullptr); }

 private:
  void assign(const char* value) {
    if (value != nullptr)
      setenv(name_, value, 1);
    else
      unsetenv(name_);
  }

  const char* name_;
  std::string before_;
  bool was_set_ = false;
};

int exit_code(const std::function<int(World&)>& body) {
  return run_in_world(body);
}

TEST(World, IsOneRankWithoutALauncher) {
  World world;
  EXPECT_EQ(world.rank(), 0);
  EXPECT_EQ(world.size(), 1);
  EXPECT_EQ(world.local_rank(), 0);
  EXPECT_EQ(world.local_size(), 1);
  const int self[] = {0};
  EXPECT_EQ(world.group("expert", self)->name(), "expert");
  const int two[] = {0, 1};
  EXPECT_THROW(world.group("expert", two), std::logic_error);
}

TEST(World, GivesATenTheThreadsOfTheEnvironment) {
  const int before = at::get_num_threads();
  {
    const Variable threads("OMP_NUM_THREADS", "3");
    World world;
    EXPECT_EQ(world.num_threads(), 3);
    EXPECT_EQ(at::get_num_threads(), 3);
  }
  at::set_num_threads(before);
}

TEST(World, TakesAllItsCoresWhenTheEnvironmentIsSilent) {
  const int before = at::get_num_threads();
  {
    const Variable threads("OMP_NUM_THREADS", nullptr);
    cpu_set_t mask;
    ASSERT_EQ(sched_getaffinity(0, sizeof(mask), &mask), 0);
    EXPECT_EQ(World().num_threads(), CPU_COUNT(&mask));
  }
  at::set_num_threads(before);
}

TEST(RunInWorld, ReturnsTheBodysCode) {
  EXPECT_EQ(exit_code([](World&) { return 0; }), 0);
  EXPECT_EQ(exit_code([](World&) { return 75; }), 75);
}

TEST(RunInWorld, TurnsAnExceptionIntoItsKindsCodeAndText) {
  const auto code_and_text = [](const std::function<int(World&)>& body) {
    testing::internal::CaptureStderr();
    const int code = exit_code(body);
    return std::pair(code, testing::internal::GetCapturedStderr());
  };
  const auto [config, config_text] =
      code_and_text([](World&) -> int { throw ConfigError("model.depth", 0, "must be positive"); });
  EXPECT_EQ(config, 2);
  EXPECT_NE(config_text.find("model.depth = 0 must be positive"), std::string::npos) << config_text;
  EXPECT_EQ(code_and_text([](World&) -> int { throw InputError("x.bin", "is empty"); }).first, 3);
  EXPECT_EQ(code_and_text([](World&) -> int { throw NumericError("loss is nan"); }).first, 17);
  EXPECT_EQ(code_and_text([](World&) -> int { throw std::runtime_error("oh"); }).first, 1);
  EXPECT_EQ(code_and_text([](World&) -> int { throw 7; }).first, 1);
}

}  // namespace
}  // namespace granule
