#include <iostream>

#include "app/commands.h"
#include "train/run_config.h"
#include "train/trainer.h"

namespace granule {

namespace {

struct TrainArguments {
  std::string config;
  std::vector<std::string> overrides;
  bool print_config = false;
};

int train(World& world, const TrainArguments& arguments) {
  const auto config = load_run_config(arguments.config, arguments.overrides, world.size());
  if (arguments.print_config) {
    if (world.rank() == 0) std::cout << print_config(config);
    return static_cast<int>(ExitCode::kOk);
  }
  return static_cast<int>(Trainer(world, config).run());
}

}  // namespace

void add_train_command(CLI::App& app, Command& chosen) {
  auto arguments = std::make_shared<TrainArguments>();
  auto* command = app.add_subcommand("train", "Train a model as a YAML file says; goes on if the run was begun before");
  command->add_option("config", arguments->config, "YAML file")->required();
  command->add_option("overrides", arguments->overrides, "section.key=value ...");
  command->add_flag("--print-config", arguments->print_config, "print the config with every default and stop");
  command->callback([&chosen, arguments] { chosen = [=](World& world) { return train(world, *arguments); }; });
}

}  // namespace granule
