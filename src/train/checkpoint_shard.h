#pragma once
// One rank's file of a checkpoint: the slices of parameters and moments that it owns, as safetensors; and the
// report about it that rank 0 makes the manifest from.

#include <string>
#include <vector>

#include "optim/optimizer.h"
#include "train/checkpoint_files.h"
#include "train/checkpoint_manifest.h"

namespace granule {

/// What a rank wrote.
struct ShardReport {
  std::vector<CheckpointFileRecord> files;
  std::vector<CheckpointParameter> parameters;  ///< each with the rank's own slices; `file` counts in `files`
};

/// Writes all that `optimizer` owns on this rank to directory/name, durably, and adds it to `report`.
/// Throws OutputError.
void write_shard(const CheckpointFiles& files, const std::string& directory, const std::string& name,
                 const Optimizer& optimizer, ShardReport& report);

/// As text, to travel between ranks.
std::string print_report(const ShardReport& report);

/// Files and parameters of all ranks, put together from their printed reports, in rank order.
void merge_reports(const std::vector<std::string>& reports, CheckpointManifest& manifest);

}  // namespace granule
