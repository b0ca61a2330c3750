#include "bench/timed_case.h"

#include <benchmark/benchmark.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
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

double seconds_of(const std::function<void()>& body, at::Device device) {
  const auto wait = [&] {
    if (!device.is_cpu()) c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
  };
  wait();
  const auto begin = std::chrono::steady_clock::now();
  body();
  wait();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values.at(half) : (values.at(half - 1) + values.at(half)) / 2;
}

void add_differentiable_cases(std::vector<TimedCase>& cases, const std::string& name,
                              const std::function<at::Tensor()>& forward, const at::Tensor& gradient,
                              const std::vector<at::Tensor>& leaves, double flops, double flops_limit) {
  cases.push_back({.name = name + "/forward",
                   .run = [=] { return seconds_of(forward, gradient.device()); },
                   .flops = flops,
                   .flops_limit = flops_limit});
  const auto backward = [=] {
    for (const auto& leaf : leaves) leaf.mutable_grad().reset();
    const auto y = forward();
    return seconds_of([&] { y.backward(gradient); }, gradient.device());
  };
  cases.push_back(
      {.name = name + "/backward", .run = backward, .flops = 2 * flops, .flops_limit = flops_limit});
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
