// Part of every test program: LibTorch's generator starts every test from the same seed, which it otherwise
// takes from the clock. `--gtest_random_seed=N` gives other numbers.

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace granule {
namespace {

class SeedTests : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo& /*test*/) override {
    at::manual_seed(static_cast<uint64_t>(1234 + testing::UnitTest::GetInstance()->random_seed()));
  }
};

const bool registered = [] {
  testing::UnitTest::GetInstance()->listeners().Append(new SeedTests);  // which takes it
  return true;
}();

}  // namespace
}  // namespace granule
