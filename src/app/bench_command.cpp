#include <iostream>

#include "app/commands.h"
#include "app/option_checks.h"
#include "bench/attention_cases.h"
#include "bench/comm_cases.h"
#include "bench/data_cases.h"
#include "bench/moe_cases.h"
#include "bench/step_report.h"
#include "bench/tokenizer_benchmark.h"
#include "data/task_examples.h"

namespace granule {

namespace {

struct StepArguments {
  std::string config;
  std::vector<std::string> overrides;
  int64_t warm_up = 1;
  int64_t steps = 5;
  bool json = false;
};

int bench_step(World& world, const StepArguments& arguments) {
  const auto config = load_run_config(arguments.config, arguments.overrides, world.size());
  const auto result = benchmark_step(world, config, arguments.warm_up, arguments.steps);
  if (world.rank() != 0) return 0;
  std::cout << (arguments.json ? step_report_json(result).dump() + "\n" : step_report_text(result));
  return 0;
}

void add_step_command(CLI::App& bench, Command& chosen) {
  auto arguments = std::make_shared<StepArguments>();
  auto* step = bench.add_subcommand("step", "Whole training steps of a config on random tokens");
  step->add_option("config", arguments->config, "YAML file")->required();
  step->add_option("overrides", arguments->overrides, "section.key=value ...");
  step->add_option("--warm-up", arguments->warm_up, "untimed steps first")->check(at_least(0));
  step->add_option("--steps", arguments->steps, "timed steps")->check(at_least(1))->capture_default_str();
  step->add_flag("--json", arguments->json, "print one JSON object");
  step->callback(
      [&chosen, arguments] { chosen = [=](World& world) { return bench_step(world, *arguments); }; });
}

void add_timing_options(CLI::App& command, TimingOptions& options) {
  command.add_option("--iterations", options.iterations, "runs that one time is the mean of")
      ->check(at_least(1))
      ->capture_default_str();
  command.add_option("--repetitions", options.repetitions, "times that the median is taken of")
      ->check(at_least(1))
      ->capture_default_str();
  command.add_flag("--json", options.json, "print Google Benchmark's JSON");
}

void add_size(CLI::App& command, const char* name, int64_t& value, const char* what) {
  command.add_option(name, value, what)->check(at_least(1))->capture_default_str();
}

void add_precision(CLI::App& command, bool& bf16) {
  command.add_flag("--bf16", bf16, "bf16 instead of fp32");
}

// A command that times the cases made from `Shape`, once `add_options` has declared its fields.
template <class Shape>
void add_cases_command(CLI::App& bench, Command& chosen, const char* name, const char* what,
                       const std::function<void(CLI::App&, Shape&)>& add_options,
                       const std::function<std::vector<TimedCase>(World&, const Shape&)>& make_cases) {
  auto shape = std::make_shared<Shape>();
  auto options = std::make_shared<TimingOptions>();
  auto* command = bench.add_subcommand(name, what);
  add_options(*command, *shape);
  add_timing_options(*command, *options);
  command->callback([=, &chosen] {
    chosen = [=](World& world) {
      run_timed_cases(world, make_cases(world, *shape), *options);
      return 0;
    };
  });
}

void add_moe_options(CLI::App& command, MoeShape& shape) {
  add_size(command, "--tokens", shape.tokens, "tokens of a rank");
  add_size(command, "--hidden", shape.hidden_size, "model width D");
  add_size(command, "--width", shape.moe_intermediate_size, "inner width F of an expert");
  add_size(command, "--experts", shape.n_routed_experts, "routed experts E, spread over the ranks");
  add_size(command, "--top-k", shape.num_experts_per_tok, "routed experts K of a token");
  command.add_option("--shared", shape.n_shared_experts, "shared experts")
      ->check(at_least(0))
      ->capture_default_str();
  auto* skew =
      command
          .add_option("--skew", shape.skew, "expert i is chosen in proportion to 1 / (i + 1)^skew; 0: evenly")
          ->check(at_least(0))
          ->capture_default_str();
  command.add_option("--loads", shape.loads_file, "JSON array of the experts' loads, as a run recorded them")
      ->excludes(skew);
  add_precision(command, shape.bf16);
  command.add_option("--device", shape.device, "where the layer computes")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
}

void add_attention_options(CLI::App& command, AttentionShape& shape) {
  add_size(command, "--batch", shape.batch, "sequences B");
  add_size(command, "--length", shape.length, "tokens S of a sequence");
  add_size(command, "--heads", shape.heads, "query heads H");
  add_size(command, "--kv-heads", shape.kv_heads, "key and value heads");
  add_size(command, "--head-dim", shape.head_dim, "width of a head");
  add_size(command, "--documents", shape.documents, "documents in a sequence, kept apart");
  add_precision(command, shape.bf16);
}

void add_comm_options(CLI::App& command, CommShape& shape) {
  add_size(command, "--tokens", shape.tokens, "tokens of a rank");
  add_size(command, "--hidden", shape.hidden_size, "model width D");
  add_size(command, "--experts", shape.n_routed_experts, "routed experts E, spread over the ranks");
  add_size(command, "--top-k", shape.num_experts_per_tok, "routed experts K of a token");
  add_size(command, "--elements", shape.elements, "fp32 values in sums and gatherings");
  add_precision(command, shape.bf16);
}

struct DataArguments {
  std::string config;
  std::vector<std::string> overrides;
};

void add_data_options(CLI::App& command, DataArguments& arguments) {
  command.add_option("config", arguments.config, "YAML file")->required();
  command.add_option("overrides", arguments.overrides, "section.key=value ...");
}

struct TokensArguments {
  std::string tokenizer;
  std::string texts;
  int64_t passes = 5;
};

int bench_tokens(World& world, const TokensArguments& arguments) {
  if (world.rank() != 0) return 0;
  const auto result = benchmark_tokenizer(arguments.tokenizer, read_texts(arguments.texts), arguments.passes);
  const nlohmann::ordered_json json{{"bytes", result.num_bytes},
                                    {"tokens", result.num_tokens},
                                    {"seconds", result.seconds},
                                    {"mb_per_s", result.megabytes_per_second()}};
  std::cout << json.dump() << '\n';
  return 0;
}

void add_tokens_command(CLI::App& bench, Command& chosen) {
  auto arguments = std::make_shared<TokensArguments>();
  auto* tokens = bench.add_subcommand("tokens", "Encoding text on one thread, as JSON");
  tokens->add_option("tokenizer", arguments->tokenizer, "tokenizer.json")->required();
  tokens
      ->add_option("texts", arguments->texts, "a .jsonl file of {\"text\": ...}; any other file is one text")
      ->required();
  tokens->add_option("--passes", arguments->passes, "times over all texts; the median counts")
      ->check(at_least(1))
      ->capture_default_str();
  tokens->callback(
      [&chosen, arguments] { chosen = [=](World& world) { return bench_tokens(world, *arguments); }; });
}

}  // namespace

void add_bench_command(CLI::App& app, Command& chosen) {
  auto* bench = app.add_subcommand("bench", "How fast things are here");
  bench->require_subcommand(1);
  add_step_command(*bench, chosen);
  add_cases_command<MoeShape>(*bench, chosen, "moe", "An MoE layer and its experts, forward and backward",
                              add_moe_options, moe_cases);
  add_cases_command<AttentionShape>(
      *bench, chosen, "attention", "Attention, ours and LibTorch's", add_attention_options,
      [](World&, const AttentionShape& shape) { return attention_cases(shape); });
  add_cases_command<CommShape>(*bench, chosen, "comm", "Collectives, and what an MoE layer sends",
                               add_comm_options, comm_cases);
  add_cases_command<DataArguments>(
      *bench, chosen, "data", "Reading batches of a config", add_data_options,
      [](World& world, const DataArguments& arguments) {
        return data_cases(world, load_run_config(arguments.config, arguments.overrides, world.size()));
      });
  add_tokens_command(*bench, chosen);
}

}  // namespace granule
