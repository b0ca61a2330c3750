#pragma once
// A run's model as a directory for Hugging Face's transformers and all that read their format.

#include <cstdint>
#include <string>

#include "comm/communicator.h"
#include "train/trained_model.h"

namespace granule {

struct ExportOptions {
  std::string directory;   ///< made if missing; must be empty but for what an unfinished export left
  std::string model_type;  ///< of architectures(); empty: the first that can hold the model
  std::string precision;   ///< "fp32" or "bf16"; empty: the run's
  uint64_t max_shard_bytes = 5'000'000'000;
};

/// Writes the tokenizer with kTokenizerSideFiles, generation_config.json, safetensors shards (each rank some of
/// them, a few megabytes at a time), their index and, last, config.json. Returns the model type. Collective.
/// Throws UserError naming the reason if the architecture cannot hold the model. What a failure leaves has no
/// config.json, and the next export into the directory removes it.
std::string export_model(const TrainedRun& run, const ExportOptions& options, Communicator& world);

}  // namespace granule
