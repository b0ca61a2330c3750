#pragma once
// Options that take all values behind them, up to the next option.

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace granule {

/// Fills `values`, but for what is an override, section.key=value: that is added to `overrides`. Where a
/// positional argument fills these too, it must have been added before. All must live until the command is
/// parsed.
CLI::Option* add_list_option(CLI::App& command, const std::string& name, std::vector<std::string>& values,
                             std::vector<std::string>& overrides, const std::string& description);

}  // namespace granule
