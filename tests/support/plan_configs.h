#pragma once
// The shipped configs, for tests of the planner.

#include <filesystem>
#include <string>

#include "tests/support/source_tree.h"
#include "train/plan.h"

namespace granule {

inline std::filesystem::path shipped_configs() {
  return source_path("configs");
}

/// Of configs/paper, by name without ending.
inline RunConfig paper_config(const std::string& name, const std::vector<std::string>& overrides = {}) {
  return load_config_to_plan((shipped_configs() / "paper" / (name + ".yaml")).string(), overrides);
}

inline ModelCost paper_cost(const std::string& name) {
  const auto config = paper_config(name);
  return measure_cost(config.model, config.train.seq_length);
}

}  // namespace granule
