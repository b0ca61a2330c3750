#include "interchange/stored_tensor.h"

#include <charconv>

#include "model/selection_bias.h"
#include "model/transformer.h"

namespace granule {

namespace {

constexpr std::string_view kExperts = ".mlp.experts.";

// Where the stacks have `piece`, the matrix of expert <id> in "...mlp.experts.<id>.up_proj.weight".
TensorPlace place_in_stack(const ParameterPiece& piece, int64_t num_experts) {
  const auto id_begin = piece.name.find(kExperts) + kExperts.size();
  int64_t expert = 0;
  std::from_chars(piece.name.data() + id_begin, piece.name.data() + piece.name.size(), expert);
  const int64_t rows = piece.shape[0], columns = piece.shape[1];
  const auto stack = piece.name.substr(0, id_begin);
  if (piece.name.ends_with(".down_proj.weight")) {
    return {stack + "down_proj", {num_experts, rows, columns}, expert * rows * columns};
  }
  const int64_t half = piece.name.ends_with(".up_proj.weight") ? 1 : 0;
  return {stack + "gate_up_proj", {num_experts, 2 * rows, columns}, (2 * expert + half) * rows * columns};
}

}  // namespace

std::vector<StoredTensor> store_under_global_names(const ModelConfig& config) {
  std::vector<StoredTensor> tensors;
  for (const auto& placed : describe_parameters(config, at::kFloat)) {
    for (const auto& piece : placed.pieces) {
      StoredTensor tensor{.name = piece.name, .shape = piece.shape, .parameter = piece.name};
      tensor.fp32 = piece.name.ends_with(kSelectionBias);
      if (placed.placement == Placement::kExpert) {
        tensor.elsewhere.push_back(place_in_stack(piece, config.router.n_routed_experts));
      }
      tensors.push_back(std::move(tensor));
    }
  }
  return tensors;
}

void add_zero_shared_experts(const ModelConfig& config, const std::string& name,
                             std::vector<StoredTensor>& tensors) {
  const int64_t D = config.hidden_size, F = config.moe_intermediate_size;
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    if (!config.has_experts(layer)) continue;
    const auto add = [&](const char* part, int64_t rows, int64_t columns) {
      tensors.push_back(
          {.name = layer_tensor(layer, "mlp." + name + "." + part + ".weight"), .shape = {rows, columns}});
    };
    add("gate_proj", F, D);
    add("up_proj", F, D);
    add("down_proj", D, F);
  }
}

std::string layer_tensor(int64_t layer, const std::string& rest) {
  return "model.layers." + std::to_string(layer) + "." + rest;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto place = text.find(from);
  if (place != std::string::npos) text.replace(place, from.size(), to);
  return text;
}

}  // namespace granule
