#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <iostream>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "app/commands.h"
#include "base/file.h"
#include "base/text.h"

namespace granule {
namespace {

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const auto* command : app.get_subcommands({})) names.push_back(command->get_name());
  return names;
}

// CLI11 says only that a command is missing when the one given is misspelt.
void complain_of_misspelt_command(int argc, char** argv, const CLI::App& app) {
  const CLI::App* level = &app;
  for (int i = 1; i < argc && argv[i][0] != '-'; ++i) {
    const auto names = command_names(*level);
    if (names.empty()) return;
    if (std::find(names.begin(), names.end(), argv[i]) == names.end()) {
      std::fprintf(stderr, "no command \"%s\"%s\n", argv[i], did_you_mean(argv[i], names).c_str());
      return;
    }
    level = level->get_subcommand(argv[i]);
  }
}

// What could not be written is no success: standard output may be a full disk.
void flush_output() {
  errno = 0;
  std::cout.flush();
  if (std::fflush(stdout) == 0 && std::cout.good() && std::ferror(stdout) == 0) return;
  throw OutputError("standard output", "write", errno != 0 ? errno : EIO);
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
      complain_of_misspelt_command(argc, argv, app);
      app.exit(error);
    }
    return static_cast<int>(asked ? ExitCode::kOk : ExitCode::kUsage);
  }
  const int code = chosen(world);
  flush_output();
  return code;
}

// A file that is opened would take the place of a stream that is closed, and messages would be written to it. Writing to
// stdout must fail as before.
void keep_closed_streams_apart() {
  for (const auto& [descriptor, flags] : {std::pair{0, O_RDONLY}, std::pair{1, O_RDONLY}, std::pair{2, O_WRONLY}}) {
    if (fcntl(descriptor, F_GETFD) < 0) std::ignore = open("/dev/null", flags);
  }
}

}  // namespace
}  // namespace granule

int main(int argc, char** argv) {
  granule::keep_closed_streams_apart();
  return granule::run_in_world(
      [&](granule::World& world) { return granule::run_command_line(argc, argv, world); });
}
