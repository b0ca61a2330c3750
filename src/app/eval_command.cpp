#include <iostream>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "data/open_sources.h"
#include "train/evaluate.h"
#include "train/trained_model.h"

namespace granule {

namespace {

struct EvalArguments {
  std::string model;
  std::vector<std::string> overrides;
  std::vector<std::string> data;
  int64_t batch_size = 8;
  bool json = false;
};

int evaluate_command(World& world, const EvalArguments& arguments) {
  auto trained = load_trained_model(world, arguments.model, arguments.overrides);
  auto& config = trained.config;
  if (!arguments.data.empty()) config.data.valid = arguments.data;
  if (!trained.tokenizer.empty()) config.data.tokenizer = trained.tokenizer;
  Loader loader(open_validation_source(config.data, config.train.seq_length, config.model.vocab_size),
                arguments.batch_size * trained.mesh->replica().size());
  const auto bytes_V = bytes_of_tokens(trained.tokenizer, config.model.vocab_size);
  const auto result = evaluate(*trained.model, trained.mesh->replica(), loader, bytes_V);
  if (world.rank() != 0) return 0;

  nlohmann::ordered_json report{{"checkpoint", trained.checkpoint},
                                {"data", config.data.valid},
                                {"tokens", result.num_tokens},
                                {"loss", result.loss},
                                {"perplexity", result.perplexity}};
  if (result.num_bytes > 0) report["bits_per_byte"] = result.bits_per_byte;
  if (arguments.json) {
    std::cout << report.dump() << '\n';
  } else {
    for (const auto& [name, value] : report.items()) {
      std::cout << name << ": " << (value.is_string() ? value.get<std::string>() : value.dump()) << '\n';
    }
  }
  return 0;
}

}  // namespace

void add_eval_command(CLI::App& app, Command& chosen) {
  auto arguments = std::make_shared<EvalArguments>();
  auto* command = app.add_subcommand("eval", "Loss, perplexity and bits per byte over whole token files");
  command->add_option("model", arguments->model, "run directory or checkpoint")->required();
  command->add_option("overrides", arguments->overrides, "section.key=value ...");
  command->add_option("--data", arguments->data, "token files as prefixes, or conversations as .jsonl; default: the run's validation files");
  command->add_option("--batch-size", arguments->batch_size, "sequences a rank runs at once")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_flag("--json", arguments->json, "print one JSON object");
  command->callback([&chosen, arguments] { chosen = [=](World& world) { return evaluate_command(world, *arguments); }; });
}

}  // namespace granule
