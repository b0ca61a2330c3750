#include <nlohmann/json.hpp>

#include "base/check.h"
#include "interchange/config_json.h"
#include "interchange/families.h"

namespace granule {

namespace {

constexpr char kShared[] = ".shared_experts.";

ModelConfig read_config(const JsonField& config) {
  return read_common_config(config);
}

// All layers' feed-forward, 0 if they differ.
int64_t common_width(const ModelConfig& config) {
  int64_t width = 0;
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    const int64_t own = config.has_experts(layer) ? config.n_shared_experts * config.moe_intermediate_size
                                                  : config.intermediate_size;
    if (width != 0 && own != width) return 0;
    width = own;
  }
  return width;
}

std::string reason_against(const ModelConfig& config) {
  if (config.num_routed_layers() > 0) {
    return join_text("it is dense, but model.n_routed_experts = ", config.router.n_routed_experts);
  }
  if (common_width(config) == 0) return "its layers are all of one width, the model's are not";
  return "";
}

void write_config(const ModelConfig& config, nlohmann::ordered_json& json) {
  json["intermediate_size"] = common_width(config);
  json["mlp_bias"] = false;
  json["pretraining_tp"] = 1;
}

std::vector<StoredTensor> store(const ModelConfig& config) {
  auto tensors = store_under_global_names(config);
  for (auto& tensor : tensors) tensor.name = replaced(tensor.name, kShared, ".");
  return tensors;
}

}  // namespace

Architecture llama_architecture() {
  return {"llama", "LlamaForCausalLM", read_config, reason_against, write_config, store};
}

}  // namespace granule
