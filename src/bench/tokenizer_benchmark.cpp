#include "bench/tokenizer_benchmark.h"

#include <algorithm>
#include <chrono>

namespace granule {

double TokenizerBenchmark::megabytes_per_second() const {
  auto sorted = seconds;
  std::sort(sorted.begin(), sorted.end());
  return static_cast<double>(num_bytes) / sorted.at(sorted.size() / 2) / 1e6;
}

TokenizerBenchmark benchmark_tokenizer(const std::string& path, const std::vector<std::string>& texts,
                                       int64_t passes) {
  TokenizerBenchmark result;
  for (const auto& text : texts) result.num_bytes += static_cast<int64_t>(text.size());
  for (int64_t pass = 0; pass < passes; ++pass) {
    Tokenizer tokenizer(path);
    int64_t num_tokens = 0;
    const auto begin = std::chrono::steady_clock::now();
    for (const auto& text : texts) num_tokens += static_cast<int64_t>(tokenizer.encode(text).size());
    result.seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    result.num_tokens = num_tokens;
  }
  return result;
}

}  // namespace granule
