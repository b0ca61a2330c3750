#pragma once
// The options of commands that write text.

#include <CLI/CLI.hpp>
#include <cstdint>

#include "train/sampler.h"

namespace granule {

/// Of one text, with all that the model reads for it: memory for them is laid out at once.
inline constexpr int64_t kMaxTextTokens = int64_t{1} << 20;

/// --max-tokens, --temperature, --top-k, --top-p and --seed; `sampling` must live until the command is
/// parsed.
void add_sampling_options(CLI::App& command, SamplingConfig& sampling);

}  // namespace granule
