#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "app/commands.h"
#include "app/list_option.h"
#include "app/option_checks.h"
#include "app/sampling_options.h"
#include "base/file.h"
#include "data/open_sources.h"
#include "data/utf8.h"
#include "train/answer_task.h"
#include "train/evaluate.h"
#include "train/evaluation_task.h"
#include "train/trained_model.h"

namespace granule {

namespace {

constexpr const char* kLossTask = "loss";

struct EvalArguments {
  std::string model;
  std::vector<std::string> overrides;
  std::string task = kLossTask;
  std::vector<std::string> data;
  int64_t batch_size = 8;
  int64_t max_length = 0;
  int64_t max_tokens = 256;
  std::vector<std::string> stops{"Question:", "</s>", "<|im_end|>"};
  std::string samples;
  bool json = false;
  std::vector<std::string> of_tasks;  ///< options that were given and mean nothing for --task loss
};

void print_report(const nlohmann::ordered_json& report, bool as_json) {
  if (as_json) {
    std::cout << report.dump() << '\n';
    return;
  }
  for (const auto& [name, value] : report.items()) {
    std::cout << name << ": " << (value.is_string() ? value.get<std::string>() : value.dump()) << '\n';
  }
}

// Names of files need not be UTF-8, JSON must.
std::vector<std::string> readable(std::vector<std::string> paths) {
  for (auto& path : paths) path = replace_invalid_utf8(path);
  return paths;
}

void evaluate_loss(World& world, const TrainedModel& trained, const EvalArguments& arguments) {
  const auto& config = trained.config;
  auto data = trained.data();
  if (!arguments.data.empty()) data.valid = arguments.data;
  trained.check_vocabulary(data.valid);
  Loader loader(open_validation_source(data, config.train.seq_length, config.model.vocab_size),
                arguments.batch_size * trained.mesh->replica().size());
  const auto bytes_V = bytes_of_tokens(world, trained.tokenizer, /*named=*/!config.data.tokenizer.empty(),
                                       config.model.vocab_size);
  const auto result = evaluate(*trained.model, trained.mesh->replica(), loader, bytes_V);
  if (result.num_tokens == 0) throw InputError(data.valid.front(), kNothingCounts);
  if (world.rank() != 0) return;

  nlohmann::ordered_json report{{"checkpoint", trained.checkpoint},
                                {"data", readable(data.valid)},
                                {"tokens", result.num_tokens},
                                {"loss", result.loss},
                                {"perplexity", result.perplexity}};
  if (result.num_bytes > 0) report["bits_per_byte"] = result.bits_per_byte;
  print_report(report, arguments.json);
}

// `samples` is null on ranks but 0, and if nobody asked for them.
void evaluate_task(World& world, TrainedModel& trained, const EvalArguments& arguments, WriteFile* samples) {
  Tokenizer tokenizer(trained.checked_tokenizer());
  const int64_t max_length = arguments.max_length > 0 ? arguments.max_length : trained.config.train.seq_length;
  const Examinee examinee{*trained.model,
                          trained.mesh->replica(),
                          tokenizer,
                          {.max_length = max_length, .batch_size = arguments.batch_size},
                          arguments.max_tokens,
                          arguments.task == kAnswerTask ? trained.stop_ids(tokenizer) : std::vector<int64_t>(),
                          arguments.stops};
  for (const auto& path : arguments.data) {
    const auto result = run_task(arguments.task, examinee, path);
    if (world.rank() != 0) continue;
    nlohmann::ordered_json report{{"checkpoint", trained.checkpoint},
                                  {"task", arguments.task},
                                  {"data", replace_invalid_utf8(path)}};
    report.update(result.metrics);
    print_report(report, arguments.json);
    std::string lines;
    for (const auto& sample : result.samples) lines += sample.dump() + "\n";
    if (samples != nullptr) samples->append(lines);
  }
  if (samples != nullptr) samples->sync();
}

void check_arguments(const EvalArguments& arguments) {
  if (arguments.task == kLossTask && !arguments.of_tasks.empty()) {
    throw UserError(ExitCode::kUsage, arguments.of_tasks.front() + " is for tasks of examples; --task loss has none");
  }
  if (arguments.task != kLossTask && arguments.data.empty()) {
    throw UserError(ExitCode::kUsage, "--task " + arguments.task + " needs --data FILE ...: its examples");
  }
}

int eval_command(World& world, const EvalArguments& arguments) {
  check_arguments(arguments);
  // Before the work whose outcome it is to hold.
  std::optional<WriteFile> samples;
  if (world.rank() == 0 && !arguments.samples.empty()) samples.emplace(arguments.samples);
  auto trained = load_trained_model(world, arguments.model, arguments.overrides);
  if (arguments.task == kLossTask) {
    evaluate_loss(world, trained, arguments);
  } else {
    evaluate_task(world, trained, arguments, samples ? &*samples : nullptr);
  }
  return 0;
}

}  // namespace

void add_eval_command(CLI::App& app, Command& chosen) {
  auto arguments = std::make_shared<EvalArguments>();
  auto tasks = task_names();
  tasks.insert(tasks.begin(), kLossTask);
  auto* command = app.add_subcommand("eval", "Loss over whole token files, or a task on files of examples");
  command->add_option("model", arguments->model, "run directory or checkpoint")->required();
  command->add_option("overrides", arguments->overrides, "section.key=value ...");
  command->add_option("--task", arguments->task, "what is asked; docs/evaluation.md describes the tasks")
      ->check(CLI::IsMember(tasks))
      ->capture_default_str();
  add_list_option(
      *command, "--data", arguments->data, arguments->overrides,
      "token files as prefixes, or conversations as .jsonl (default: the run's validation files); "
      "a task's files");
  command->add_option("--batch-size", arguments->batch_size, "sequences a rank runs at once")
      ->check(at_least(1))
      ->capture_default_str();
  command->add_option("--max-length", arguments->max_length,
                      "tokens of a task's example that the model reads; default: the run's seq_length")
      ->check(at_least(1));
  command
      ->add_option("--max-tokens", arguments->max_tokens,
                   "of an answer that the model writes (--task answer)")
      ->check(CLI::Range(int64_t{1}, kMaxTextTokens))
      ->capture_default_str();
  // One text each time: what follows may be an override, and a list in brackets would be taken apart.
  command->add_option("--stop", arguments->stops, "text that ends such an answer; may be given several times; '': none")
      ->allow_extra_args(false)
      ->capture_default_str();
  command->add_option("--samples", arguments->samples, "file for a line of JSON for each of a task's examples");
  command->add_flag("--json", arguments->json, "print JSON: an object for each task's file, one for the loss");
  command->callback([&chosen, arguments, command] {
    for (const auto* name : {"--max-length", "--max-tokens", "--stop", "--samples"}) {
      if (command->count(name) > 0) arguments->of_tasks.emplace_back(name);
    }
    std::erase(arguments->stops, "");
    chosen = [=](World& world) { return eval_command(world, *arguments); };
  });
}

}  // namespace granule
