#pragma once
// The architectures of Hugging Face's transformers that Granule's models can be written as and read from: how
// each says in config.json what a model is, and how it names and lays out the tensors. A family is one file
// that defines one row of the table.

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/strict_json.h"
#include "interchange/stored_tensor.h"
#include "model/model_config.h"

namespace granule {

struct Architecture {
  const char* model_type;  ///< in config.json, and what `granule export --to` calls it
  const char* class_name;  ///< of transformers

  /// Throws InputError naming field and value for what Granule cannot represent.
  ModelConfig (*read_config)(const JsonField& config);
  /// Why it cannot hold such a model; empty if it can.
  std::string (*reason_against)(const ModelConfig& config);
  /// Adds what config.json says of the model beyond write_common_config.
  void (*write_config)(const ModelConfig& config, nlohmann::ordered_json& json);
  /// All tensors, in the order in which they are written.
  std::vector<StoredTensor> (*store)(const ModelConfig& config);
};

/// All of them; of several that can hold a model the first is the best supported.
std::span<const Architecture> architectures();

/// What a config.json names. Throws InputError listing those there are.
const Architecture& architecture_of(const JsonField& config);

/// The one called `model_type`, or, if empty, the first that can hold the model. Throws UserError with the
/// reason, and with those that can, if it cannot.
const Architecture& choose_architecture(const std::string& model_type, const ModelConfig& config);

}  // namespace granule
