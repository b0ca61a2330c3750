#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "base/text.h"
#include "train/step_benchmark.h"

namespace granule {

namespace {

struct StepArguments {
  std::string config;
  std::vector<std::string> overrides;
  int64_t warm_up = 1;
  int64_t steps = 5;
  bool json = false;
};

struct Phase {
  const char* name;
  double StepTimes::*seconds;
};
constexpr Phase kPhases[] = {{"forward", &StepTimes::forward},
                             {"backward", &StepTimes::backward},
                             {"reduce", &StepTimes::reduce},
                             {"update", &StepTimes::update}};

nlohmann::ordered_json as_json(const StepBenchmark& result) {
  const double seconds = result.median_seconds();
  const double tokens_per_second = static_cast<double>(result.tokens_per_step) / seconds;
  nlohmann::ordered_json json{{"parameters", result.num_parameters},
                              {"tokens_per_step", result.tokens_per_step},
                              {"step_seconds", seconds},
                              {"tokens_per_s", tokens_per_second},
                              {"model_gflops", tokens_per_second * result.flops_per_token / 1e9},
                              {"peak_rss_gib", result.peak_rss_bytes / (1 << 30)},
                              {"losses", result.losses}};
  for (const auto& [name, phase] : kPhases) json["seconds"][name] = result.median_of(phase);
  return json;
}

void print_table(const nlohmann::ordered_json& json) {
  std::printf("%s parameters, %s tokens a step\n", short_count(json["parameters"]).c_str(),
              short_count(json["tokens_per_step"]).c_str());
  for (const auto& [name, seconds] : json["seconds"].items()) {
    std::printf("  %-10s %9.1f ms  %5.1f %%\n", name.c_str(), seconds.get<double>() * 1e3,
                100 * seconds.get<double>() / json["step_seconds"].get<double>());
  }
  std::printf("  %-10s %9.1f ms  (median)\n", "step", json["step_seconds"].get<double>() * 1e3);
  std::printf("%.0f tokens/s, %.1f model GFLOP/s, peak resident %.2f GiB a rank\n", json["tokens_per_s"].get<double>(),
              json["model_gflops"].get<double>(), json["peak_rss_gib"].get<double>());
}

int bench_step(World& world, const StepArguments& arguments) {
  const auto config = load_run_config(arguments.config, arguments.overrides, world.size());
  const auto json = as_json(benchmark_step(world, config, arguments.warm_up, arguments.steps));
  if (world.rank() != 0) return 0;
  if (arguments.json) {
    std::cout << json.dump() << '\n';
  } else {
    print_table(json);
  }
  return 0;
}

}  // namespace

void add_bench_command(CLI::App& app, Command& chosen) {
  auto* bench = app.add_subcommand("bench", "How fast things are here");
  bench->require_subcommand(1);
  auto arguments = std::make_shared<StepArguments>();
  auto* step = bench->add_subcommand("step", "Whole training steps of a config on random tokens");
  step->add_option("config", arguments->config, "YAML file")->required();
  step->add_option("overrides", arguments->overrides, "section.key=value ...");
  step->add_option("--warm-up", arguments->warm_up, "untimed steps first")->check(CLI::NonNegativeNumber);
  step->add_option("--steps", arguments->steps, "timed steps")->check(CLI::PositiveNumber)->capture_default_str();
  step->add_flag("--json", arguments->json, "print one JSON object");
  step->callback([&chosen, arguments] { chosen = [=](World& world) { return bench_step(world, *arguments); }; });
}

}  // namespace granule
