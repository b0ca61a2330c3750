#include "bench/tokenizer_benchmark.h"

#include <gtest/gtest.h>

#include "tests/support/chat_files.h"
#include "tests/support/token_files.h"

namespace granule {
namespace {

TEST(TokenizerBenchmark, CountsOnePassAndTimesEach) {
  const DataDirectory directory;
  const auto path = directory.write_bytes("tokenizer.json", byte_tokenizer({"<|endoftext|>"}));
  const auto result = benchmark_tokenizer(path, {"abc", "", "\u00e9 h"}, 3);
  EXPECT_EQ(result.num_bytes, 7);
  EXPECT_EQ(result.num_tokens, 3 + 0 + 3);
  EXPECT_EQ(result.seconds.size(), 3u);
}

TEST(TokenizerBenchmark, SpeedIsThatOfTheMedianPass) {
  const TokenizerBenchmark result{.num_bytes = 6'000'000, .num_tokens = 1, .seconds = {1, 9, 2}};
  EXPECT_DOUBLE_EQ(result.megabytes_per_second(), 3);
}

}  // namespace
}  // namespace granule
