#include "bench/machine_limits.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>
#include <vector>

#include "bench/timed_case.h"
#include "ops/kernels.h"

namespace granule {

namespace {

constexpr int kTrials = 7;
constexpr double kTrialSeconds = 0.3;
constexpr double kPatientSeconds = 3;      // while threads, or a host's below them, share a core
constexpr double kApart = 0.75;            // of what one thread reaches alone, if they share none
constexpr int64_t kSteps = 1 << 20;        // some 10 ms of products
constexpr int64_t kBufferWords = 1 << 24;  // 128 MiB: beyond any cache

// The best of a few trials of work per second: a limit is what happens when nothing disturbs. Goes on for a
// while if that is less than `expected`.
double best_rate(const std::function<double()>& work, at::Device device = at::kCPU, double expected = 0) {
  double best = 0, total = 0;
  const auto goes_on = [&] { return total < (best < expected ? kPatientSeconds : kTrialSeconds); };
  for (int trial = 0; trial < kTrials || goes_on(); ++trial) {
    double done = 0;
    const double seconds = seconds_of([&] { done = work(); }, device);
    best = std::max(best, done / seconds);
    total += seconds;
  }
  return best;
}

template <class Element>
double product_rate() {
  const auto multiply = [] {
    float values[2 * kPeakValues];
    std::iota(values, values + 2 * kPeakValues, 1.0f);
    return kernels<Element>().multiply_registers(kSteps, values);
  };
  std::vector<double> flops(static_cast<size_t>(at::get_num_threads()));
  const auto multiply_on_all = [&] {
    at::parallel_for(0, static_cast<int64_t>(flops.size()), 1, [&](int64_t begin, int64_t end) {
      for (int64_t thread = begin; thread < end; ++thread) flops[static_cast<size_t>(thread)] = multiply();
    });
    return std::accumulate(flops.begin(), flops.end(), 0.0);
  };
  const double expected = kApart * static_cast<double>(flops.size()) * best_rate(multiply);
  return best_rate(multiply_on_all, at::kCPU, expected);
}

}  // namespace

MachineLimits measure_machine_limits() {
  const double buffer_bytes = static_cast<double>(kBufferWords * sizeof(uint64_t));
  std::vector<uint64_t> from(kBufferWords, 1), to(kBufferWords);
  std::vector<uint64_t> sums(static_cast<size_t>(at::get_num_threads()));
  const auto over_buffer = [](const auto& run) { at::parallel_for(0, kBufferWords, 1, run); };

  MachineLimits limits;
  limits.num_threads = at::get_num_threads();
  limits.fp32_flops = product_rate<float>();
  limits.bf16_flops = product_rate<Bf16>();
  limits.read_bytes = best_rate([&] {
    over_buffer([&](int64_t begin, int64_t end) {
      sums[static_cast<size_t>(at::get_thread_num())] +=
          std::accumulate(&from[begin], &from[begin] + (end - begin), uint64_t{0});
    });
    return buffer_bytes;
  });
  limits.copy_bytes = best_rate([&] {
    over_buffer([&](int64_t begin, int64_t end) {
      std::memcpy(&to[begin], &from[begin], static_cast<size_t>(end - begin) * sizeof(uint64_t));
    });
    return 2 * buffer_bytes;
  });
  return limits;
}

double measure_matrix_flops(at::Device device, at::ScalarType dtype, int64_t size) {
  const auto matrix = at::ones({size, size}, at::TensorOptions(device).dtype(dtype));
  auto product = at::empty_like(matrix);
  return best_rate(
      [&] {
        at::mm_out(product, matrix, matrix);
        return 2.0 * std::pow(static_cast<double>(size), 3);
      },
      device);
}

}  // namespace granule
