#pragma once
// One rank's file of a checkpoint that holds values alone, of a model that comes from elsewhere: read from
// their source piece by piece while they are written, so that memory never holds more than a few megabytes.

#include <string>
#include <vector>

#include "comm/placement.h"
#include "model/parameter_source.h"
#include "train/checkpoint_shard.h"

namespace granule {

/// Writes every `num_ranks`-th piece of `parameters`, from number `rank` on, to directory/name, durably, and
/// adds it to `report`. Only names, shapes, dtypes and placement of `parameters` are looked at. Throws
/// OutputError, and InputError from `source`.
void write_values(const CheckpointFiles& files, const std::string& directory, const std::string& name,
                  const ParameterSource& source, const std::vector<PlacedParameter>& parameters, int rank,
                  int num_ranks, ShardReport& report);

}  // namespace granule
