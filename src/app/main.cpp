#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "app/commands.h"
#include "base/text.h"

namespace granule {
namespace {

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const auto* command : app.get_subcommands({})) names.push_back(command->get_name());
  return names;
}

int run_command_line(int argc, char** argv, World& world) {
  CLI::App app("Granule: pretrains and fine-tunes fine-grained mixture-of-experts language models",
               "granule");
  app.require_subcommand(1);
  app.set_version_flag("--version", "granule " GRANULE_VERSION);
  Command chosen;
  add_train_command(app, chosen);
  add_eval_command(app, chosen);
  add_generate_command(app, chosen);
  add_chat_command(app, chosen);
  add_inspect_command(app, chosen);
  add_plan_command(app, chosen);
  add_bench_command(app, chosen);
  add_import_command(app, chosen);
  add_export_command(app, chosen);
  add_analyze_command(app, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // --help is an "error" too, with exit code 0.
    const bool asked = error.get_exit_code() == 0;
    if (world.rank() == 0) {
      // CLI11 says only that a command is missing when the one given is misspelt.
      const auto names = command_names(app);
      if (argc > 1 && argv[1][0] != '-' && std::find(names.begin(), names.end(), argv[1]) == names.end()) {
        std::fprintf(stderr, "no command \"%s\"%s\n", argv[1], did_you_mean(argv[1], names).c_str());
      }
      app.exit(error);
    }
    return static_cast<int>(asked ? ExitCode::kOk : ExitCode::kUsage);
  }
  return chosen(world);
}

}  // namespace
}  // namespace granule

int main(int argc, char** argv) {
  return granule::run_in_world(
      argc, argv, [&](granule::World& world) { return granule::run_command_line(argc, argv, world); });
}
