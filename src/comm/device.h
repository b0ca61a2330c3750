#pragma once
// Where a rank computes: train.device.

#include <c10/core/Device.h>

#include <string>

#include "comm/world.h"

namespace granule {

/// `name` is "cpu" or "cuda"; the ranks of a machine take its GPUs in turn. Refuses ranks that run other
/// versions of the libraries than rank 0; logs device and versions. Throws ConfigError where there is no GPU,
/// UserError. Collective over the world.
at::Device open_device(World& world, const std::string& name);

/// Whether any rank of the job computes on the same device as another. Collective over the world.
bool device_is_shared(World& world, at::Device device);

}  // namespace granule
