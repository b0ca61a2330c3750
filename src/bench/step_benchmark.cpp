#include "bench/step_benchmark.h"

#include <ATen/ATen.h>
#include <sys/resource.h>

#include <algorithm>

#include "base/random.h"
#include "bench/timed_case.h"
#include "comm/device.h"
#include "model/model_size.h"
#include "train/plan_memory.h"
#include "train/run_parts.h"

namespace granule {

namespace {

// This rank's rows of a global batch of random ids, the same whatever the layout.
Batch random_rows(const RunConfig& config, int64_t step, int64_t first, int64_t count) {
  const int64_t S = config.train.seq_length;
  const RandomStream stream(static_cast<uint64_t>(config.rng.seed), "benchmark/" + std::to_string(step));
  auto token = at::empty({count, S + 1}, at::kLong);
  auto* id = token.data_ptr<int64_t>();
  for (int64_t i = 0; i < token.numel(); ++i) {
    id[i] = static_cast<int64_t>(stream.below(static_cast<uint64_t>(config.model.vocab_size),
                                              static_cast<uint64_t>(first * (S + 1) + i)));
  }
  return {token.narrow(1, 0, S).contiguous(), token.narrow(1, 1, S).contiguous(),
          at::ones({count, S}, at::kBool), at::zeros({count, S}, at::kLong)};
}

}  // namespace

double StepBenchmark::median_seconds() const {
  return median(seconds);
}

double StepBenchmark::median_of(double StepTimes::*phase) const {
  std::vector<double> values;
  for (const auto& step : times) values.push_back(step.*phase);
  return median(values);
}

std::vector<std::pair<std::string, double>> StepBenchmark::median_phases() const {
  std::map<std::string, std::vector<double>> by_name;
  for (size_t i = 0; i < phases.size(); ++i) {
    double rest = times[i].forward + times[i].backward;
    for (const auto& [name, spent] : phases[i]) {
      by_name[name].push_back(spent);
      rest -= spent;
    }
    by_name["rest"].push_back(rest);
    by_name["reduce"].push_back(times[i].reduce);
    by_name["update"].push_back(times[i].update);
  }
  std::vector<std::pair<std::string, double>> medians;
  for (auto& [name, spent] : by_name) medians.emplace_back(name, median(std::move(spent)));
  std::stable_sort(medians.begin(), medians.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  return medians;
}

StepBenchmark benchmark_step(World& world, const RunConfig& config, int64_t warm_up, int64_t steps) {
  const auto device = open_device(world, config.train.device);
  Mesh mesh(world, config.parallel, device);
  const auto built = build_model(config, mesh.expert(), device);
  auto& model = *built;
  model.initialize(static_cast<uint64_t>(config.rng.seed));
  Optimizer optimizer(trained_parameters(model.placed_parameters()), {mesh.world(), mesh.replica(), mesh.data()},
                      config.optimizer);
  TrainStep step(model, optimizer, mesh.replica(), config.train.micro_batch_size,
                 config.train.recompute_granularity == "full");
  const auto size = measure_size(model);

  StepBenchmark result;
  result.num_parameters = size.total();
  result.tokens_per_step = config.train.global_batch_size * config.train.seq_length;
  result.flops_per_token = training_flops_per_token(config.model, size, config.train.seq_length);
  result.bf16 = config.train.dtype() == at::kBFloat16;
  result.work = phase_work(config.model, size, result.tokens_per_step, config.train.seq_length,
                           moment_bytes(config.optimizer));
  for (auto& [phase, work] : result.work) {
    work.flops /= world.size();
    work.bytes /= world.size();
  }
  world.all().barrier();
  result.limits = measure_machine_limits();

  PhaseTimer timer;
  const int64_t rows = config.train.global_batch_size / mesh.replica().size();
  for (int64_t s = 0; s < warm_up + steps; ++s) {
    const auto batch = random_rows(config, s, mesh.replica().rank() * rows, rows);
    world.all().barrier();
    StepOutcome outcome;
    auto seconds =
        at::full({1}, seconds_of([&] { outcome = step.run(batch, config.optimizer.lr); }, device), at::kDouble);
    auto phases = timer.take();
    world.all().all_reduce_max(seconds);
    result.losses.push_back(outcome.loss);
    if (s < warm_up) continue;
    result.seconds.push_back(seconds.item<double>());
    result.times.push_back(outcome.times);
    result.phases.push_back(std::move(phases));
  }

  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  result.peak_rss_bytes = static_cast<double>(world.all().all_reduce_max(int64_t{usage.ru_maxrss})) * 1024;
  return result;
}

}  // namespace granule
