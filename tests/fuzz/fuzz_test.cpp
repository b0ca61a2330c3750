// Every seed, and with it every input that a fuzz target once failed on, in the normal build.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "tests/fuzz/targets.h"
#include "tests/support/source_tree.h"

namespace granule {
namespace {

struct Target {
  const char* name;
  void (*run)(std::string_view input);
};

class FuzzSeeds : public testing::TestWithParam<Target> {};

TEST_P(FuzzSeeds, EndInAValueOrAnErrorOfTheUsers) {
  const auto directory = source_path("tests/fuzz/seeds") / GetParam().name;
  int num_seeds = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const auto input = read_text_file(entry.path().string(), 1 << 20);
    // Every prefix, too: files are cut off more often than anything else happens to them.
    const auto step = std::max<size_t>(1, input.size() / 64);
    for (size_t size = 0; size < input.size(); size += step) {
      EXPECT_NO_THROW(GetParam().run(std::string_view(input).substr(0, size))) << entry.path() << " to " << size;
    }
    EXPECT_NO_THROW(GetParam().run(input)) << entry.path();
    ++num_seeds;
  }
  EXPECT_GT(num_seeds, 0) << directory;
}

INSTANTIATE_TEST_SUITE_P(
    , FuzzSeeds,
    testing::Values(Target{"token_file", fuzz_token_file}, Target{"safetensors", fuzz_safetensors},
                    Target{"tokenizer", fuzz_tokenizer}, Target{"yaml", fuzz_yaml}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace granule
