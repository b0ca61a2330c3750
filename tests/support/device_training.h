#pragma once
// A small model trained on a device and on the CPU: the same losses, the same state.

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <string>

#include "comm/world.h"

namespace granule {

struct DeviceTraining {
  at::ScalarType dtype = at::kFloat;
  std::string backend = "auto";  ///< parallel.backend on the device
  bool recompute = false;
  bool every_loss = false;       ///< sigmoid scores, groups, bias, capacity and all balance losses
  double loss_tolerance = 1e-4;  ///< relative, of each step's loss and norm
  /// Of parameters in the end. Adam moves by the learning rate (here 0.01) whatever the gradient's size:
  /// where a tiny gradient has another sign, two runs end up twice that apart in each of 4 steps.
  double state_tolerance = 1e-4;
};

/// Some steps on `device`, for every expert-parallel layout of the world, against the same steps on the CPU.
void expect_training_like_cpu(World& world, at::Device device, const DeviceTraining& training);

/// A checkpoint that `device` wrote loads on the CPU and on the device with equal state; evaluation and
/// generation give what they give on the CPU. `directory` is shared by the ranks.
void expect_checkpoint_travels(World& world, at::Device device, const std::string& directory);

}  // namespace granule
