#pragma once
// What numbers an option takes, said in words that fit on a line.

#include <CLI/CLI.hpp>

namespace granule {

/// Finite numbers from `least` on.
CLI::Validator at_least(double least);
/// Finite numbers above 0.
CLI::Validator above_zero();

}  // namespace granule
