#include "bench/timed_case.h"

#include <benchmark/benchmark.h>

#include <chrono>
#include <memory>

namespace granule {

namespace {

// For the ranks whose figures nobody sees.
class SilentReporter : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context& /*context*/) override { return true; }
  void ReportRuns(const std::vector<Run>& /*runs*/) override {}
};

std::unique_ptr<benchmark::BenchmarkReporter> make_reporter(int rank, bool json) {
  if (rank != 0) return std::make_unique<SilentReporter>();
  if (json) return std::make_unique<benchmark::JSONReporter>();
  return std::make_unique<benchmark::ConsoleReporter>(benchmark::ConsoleReporter::OO_Tabular);
}

void time_case(benchmark::State& state, const TimedCase& timed, World& world) {
  double total = 0;
  for (auto _ : state) {
    world.all().barrier();
    const double seconds = timed.run();
    state.SetIterationTime(seconds);
    total += seconds;
  }
  const double runs = static_cast<double>(state.iterations());
  if (timed.flops > 0) state.counters["GFLOP/s"] = timed.flops * runs / total / 1e9;
  if (timed.flops_limit > 0) state.counters["%limit"] = 100 * timed.flops * runs / total / timed.flops_limit;
  if (timed.bytes > 0) state.counters["GB/s"] = timed.bytes * runs / total / 1e9;
}

}  // namespace

double seconds_of(const std::function<void()>& body) {
  const auto begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void run_timed_cases(World& world, const std::vector<TimedCase>& cases, const TimingOptions& options) {
  for (const auto& timed : cases) {
    timed.run();
    benchmark::RegisterBenchmark(
        timed.name.c_str(), [&timed, &world](benchmark::State& state) { time_case(state, timed, world); })
        // Every rank must run as often as the others.
        ->Iterations(options.iterations)
        ->Repetitions(static_cast<int>(options.repetitions))
        ->ReportAggregatesOnly(true)
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond);
  }
  const auto reporter = make_reporter(world.rank(), options.json);
  benchmark::RunSpecifiedBenchmarks(reporter.get());
  benchmark::ClearRegisteredBenchmarks();
}

}  // namespace granule
