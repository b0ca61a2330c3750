#pragma once
// A model as a run left it: for evaluation and generation, on any number of ranks.

#include <memory>
#include <string>
#include <vector>

#include "comm/mesh.h"
#include "model/transformer.h"
#include "train/run_config.h"

namespace granule {

struct TrainedModel {
  RunConfig config;        ///< the run's, but for the layout
  std::string checkpoint;  ///< directory that was loaded
  std::string tokenizer;   ///< its tokenizer.json; empty if there is none
  std::unique_ptr<Mesh> mesh;
  std::unique_ptr<Transformer> model;
};

/// `path` is a run directory (its newest checkpoint is taken) or a checkpoint. Experts are on every rank unless an
/// override says `parallel.expert=N`. Throws InputError, ConfigError. Collective over the world.
TrainedModel load_trained_model(World& world, const std::string& path, const std::vector<std::string>& overrides);

}  // namespace granule
