#pragma once
// A model made by others as a run of Granule: its config, its values as a checkpoint of step 0, its
// tokenizer.

#include <string>

#include "comm/communicator.h"
#include "interchange/hugging_face_directory.h"
#include "train/run_config.h"

namespace granule {

/// The config of a run that starts from the directory: its model, its context as sequence length, bf16 if its
/// tensors are; all else default. `run_dir` may be empty where nothing is written.
RunConfig imported_config(const HuggingFaceDirectory& directory, const std::string& run_dir);

/// Writes `run_dir`, which `train`, `eval` and `generate` accept: config.yaml, a checkpoint with values and
/// without moments, tokenizer.json and kTokenizerSideFiles, those that there are. Each rank writes a part of
/// the values, a few megabytes at a time. Collective. Throws InputError for a model that Granule cannot
/// represent, and for a directory with checkpoints or another config; CheckpointError.
void import_model(const std::string& directory, const std::string& run_dir, Communicator& world);

}  // namespace granule
