#pragma once
// What a config describes and every job that runs it builds alike.

#include <memory>

#include "comm/communicator.h"
#include "data/loader.h"
#include "model/transformer.h"
#include "train/run_config.h"

namespace granule {

/// The model in the run's precision, its values not yet set, with the adapters of section `lora` and the kernels
/// of train.kernel_isa. Throws ConfigError for an instruction set that the CPU lacks.
std::unique_ptr<Transformer> build_model(const RunConfig& config, Communicator& expert_group,
                                         at::Device device);

/// The training batches. Throws what open_training_source does.
Loader open_training(const RunConfig& config);

}  // namespace granule
