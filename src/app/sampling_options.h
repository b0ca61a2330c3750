#pragma once
// The options of commands that write text.

#include <CLI/CLI.hpp>

#include "train/sampler.h"

namespace granule {

/// --max-tokens, --temperature, --top-k, --top-p and --seed; `sampling` must live until the command is
/// parsed.
void add_sampling_options(CLI::App& command, SamplingConfig& sampling);

}  // namespace granule
