#pragma once
// When checkpoints are written, how many are kept, and what a run starts from.

#include <string>

#include "base/config.h"

namespace granule {

struct CheckpointConfig {
  int64_t save_interval = 500;
  int64_t most_recent_k = 3;
  std::string load;
  bool finetune = false;
  bool verify = true;

  void visit(auto&& field) {
    field("save_interval", save_interval, {.min = 0}, "steps between checkpoints; 0: only at the end");
    field("most_recent_k", most_recent_k, {.min = 1}, "checkpoints that are kept; older ones are removed");
    field(
        "load", load, {},
        "checkpoint, run directory or (with finetune) Hugging Face directory to start from when this run has no "
        "checkpoint of its own; empty: none");
    field("finetune", finetune, {}, "of load take parameters alone: step 0, no optimizer state");
    field("verify", verify, {}, "read and hash every file before it is used");
  }
};

}  // namespace granule
