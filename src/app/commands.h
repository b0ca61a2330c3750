#pragma once
// The subcommands of the binary. Each declares its arguments; parsing one leaves in `chosen` what to run.

#include <CLI/CLI.hpp>
#include <functional>

#include "comm/world.h"

namespace granule {

using Command = std::function<int(World&)>;

void add_train_command(CLI::App& app, Command& chosen);
void add_eval_command(CLI::App& app, Command& chosen);
void add_generate_command(CLI::App& app, Command& chosen);
void add_chat_command(CLI::App& app, Command& chosen);
void add_inspect_command(CLI::App& app, Command& chosen);
void add_plan_command(CLI::App& app, Command& chosen);
void add_bench_command(CLI::App& app, Command& chosen);
void add_import_command(CLI::App& app, Command& chosen);
void add_export_command(CLI::App& app, Command& chosen);
void add_analyze_command(CLI::App& app, Command& chosen);

}  // namespace granule
