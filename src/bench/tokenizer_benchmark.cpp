#include "bench/tokenizer_benchmark.h"

#include "bench/timed_case.h"

namespace granule {

double TokenizerBenchmark::megabytes_per_second() const {
  return static_cast<double>(num_bytes) / median(seconds) / 1e6;
}

TokenizerBenchmark benchmark_tokenizer(const std::string& path, const std::vector<std::string>& texts,
                                       int64_t passes) {
  TokenizerBenchmark result;
  for (const auto& text : texts) result.num_bytes += static_cast<int64_t>(text.size());
  for (int64_t pass = 0; pass < passes; ++pass) {
    Tokenizer tokenizer(path);
    int64_t num_tokens = 0;
    result.seconds.push_back(seconds_of([&] {
      for (const auto& text : texts) num_tokens += static_cast<int64_t>(tokenizer.encode(text).size());
    }));
    result.num_tokens = num_tokens;
  }
  return result;
}

}  // namespace granule
