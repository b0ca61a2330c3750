#include <iostream>

#include "app/commands.h"
#include "train/import_model.h"

namespace granule {

void add_import_command(CLI::App& app, Command& chosen) {
  struct Arguments {
    std::string directory;
    std::string run_dir;
  };
  auto arguments = std::make_shared<Arguments>();
  auto* command =
      app.add_subcommand("import", "A model of Hugging Face's transformers as a run to go on from");
  command->add_option("directory", arguments->directory, "with config.json and safetensors files")
      ->required();
  command->add_option("run_dir", arguments->run_dir, "run directory to write; may have no checkpoints yet")
      ->required();
  command->callback([&chosen, arguments] {
    chosen = [=](World& world) {
      import_model(arguments->directory, arguments->run_dir, world.all());
      if (world.rank() == 0) std::cout << arguments->directory << " -> " << arguments->run_dir << "\n";
      return 0;
    };
  });
}

}  // namespace granule
