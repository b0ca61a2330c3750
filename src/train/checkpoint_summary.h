#pragma once
// A checkpoint in words: what `granule inspect checkpoint` prints. Needs no model.

#include <string>

namespace granule {

struct CheckpointSummary {
  std::string text;
  bool intact = true;  ///< no file was found damaged; the text names those that are
};

/// Of the checkpoint at `path`, or the newest of the run directory it is; `verify` reads and hashes every
/// file. Throws InputError if there is none or its manifest cannot be read.
CheckpointSummary summarize_checkpoint(const std::string& path, bool verify);

}  // namespace granule
