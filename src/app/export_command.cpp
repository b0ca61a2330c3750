#include <iostream>

#include "app/commands.h"
#include "train/export_model.h"

namespace granule {

namespace {

struct ExportArguments {
  std::string model;
  std::vector<std::string> overrides;
  ExportOptions options;
};

int export_command(World& world, const ExportArguments& arguments) {
  const auto run = open_trained_run(world, arguments.model, arguments.overrides);
  const auto model_type = export_model(run, arguments.options, world.all());
  if (world.rank() == 0) {
    std::cout << run.checkpoint << " -> " << arguments.options.directory << " (" << model_type << ")\n";
  }
  return 0;
}

}  // namespace

void add_export_command(CLI::App& app, Command& chosen) {
  auto arguments = std::make_shared<ExportArguments>();
  auto& options = arguments->options;
  auto* command =
      app.add_subcommand("export", "A model as a directory for Hugging Face's transformers, vLLM ...");
  command->add_option("model", arguments->model, "run directory, checkpoint or Hugging Face directory")
      ->required();
  command
      ->add_option("directory", options.directory,
                   "what to write; missing, empty or left unfinished by an export")
      ->required();
  command->add_option("overrides", arguments->overrides, "section.key=value ...");
  command->add_option(
      "--to", options.model_type,
      "llama, qwen2_moe, glm4_moe, mixtral or deepseek; default: the first that can hold the model");
  command->add_option("--dtype", options.precision, "of the tensors; default: the run's precision")
      ->check(CLI::IsMember({"fp32", "bf16"}));
  command->add_option("--max-shard-size", options.max_shard_bytes, "bytes of a file, as 5GB or 200MB")
      ->transform(CLI::AsSizeValue(true))
      ->capture_default_str();
  command->callback(
      [&chosen, arguments] { chosen = [=](World& world) { return export_command(world, *arguments); }; });
}

}  // namespace granule
