#include "tests/support/interchange_models.h"

#include <cstring>
#include <filesystem>

#include "base/check.h"
#include "base/hash.h"
#include "interchange/hugging_face_writer.h"
#include "model/transformer.h"
#include "tests/support/small_model.h"

namespace granule {

ModelConfig interchange_config(const std::string& model_type) {
  auto config = small_config();
  config.balance.moe_aux_loss_coeff = 0;
  config.rope_theta = 5000;
  config.rms_norm_eps = 2e-6;
  auto& router = config.router;
  if (model_type == "llama") {
    router = {};
    config.n_shared_experts = config.first_k_dense_replace = 0;
    config.moe_intermediate_size = ModelConfig().moe_intermediate_size;
    config.head_dim = 6;
    config.tie_word_embeddings = true;
  } else if (model_type == "glm4_moe") {
    router.scoring_func = "sigmoid";
    router.moe_router_enable_expert_bias = router.norm_topk_prob = true;
    router.routed_scaling_factor = 1.5;
    router.topk_method = "noaux_tc";
    router.n_group = 4;
    router.topk_group = 2;
    config.n_shared_experts = 2;
    config.head_dim = 6;
  } else if (model_type == "mixtral") {
    router.norm_topk_prob = true;
    config.n_shared_experts = config.first_k_dense_replace = 0;
    config.intermediate_size = config.moe_intermediate_size;
  } else {
    config.n_shared_experts = 2;
    config.num_hidden_layers = 5;
    config.first_k_dense_replace = config.moe_layer_freq = 2;
  }
  return config;
}

CodedParameters::CodedParameters(const ModelConfig& config) {
  for (const auto& placed : describe_parameters(config, at::kFloat)) {
    for (const auto& piece : placed.pieces) shapes_[piece.name] = piece.shape;
  }
}

std::vector<std::string> CodedParameters::parameter_names() const {
  std::vector<std::string> names;
  for (const auto& [name, shape] : shapes_) names.push_back(name);
  return names;
}

const std::vector<int64_t>* CodedParameters::find_shape(const std::string& name) const {
  const auto found = shapes_.find(name);
  return found == shapes_.end() ? nullptr : &found->second;
}

void CodedParameters::read_values(const std::string& name, int64_t begin, std::span<float> values) const {
  CHECK(shapes_.contains(name), name);
  for (size_t i = 0; i < values.size(); ++i) {
    const auto code = hash_bytes(join_text(name, "/", begin + static_cast<int64_t>(i))) % 200;
    values[i] = (static_cast<float>(code) - 99.5f) / 64.0f;
  }
}

void write_coded_directory(const std::string& directory, const std::string& model_type,
                           const ModelConfig& config, const std::string& dtype, uint64_t max_shard_bytes) {
  std::filesystem::create_directories(directory);
  const CodedParameters parameters(config);
  const HuggingFaceWriter writer(
      choose_architecture(model_type, config), config, parameters,
      {.dtype = dtype, .max_position_embeddings = 64, .bos_token_id = 1, .eos_token_id = 2}, max_shard_bytes);
  for (size_t i = 0; i < writer.num_shards(); ++i) writer.write_shard(directory, i);
  writer.write_config(directory);
}

LooseTensors read_loose_tensors(const std::string& path) {
  const SafetensorsFile file(path);
  LooseTensors tensors;
  for (const auto& entry : file.entries()) {
    auto& tensor = tensors[entry.name] = {entry.dtype, entry.shape, std::string(entry.num_bytes(), '\0')};
    file.read(entry, 0, tensor.bytes.data(), tensor.bytes.size());
  }
  return tensors;
}

void write_loose_tensors(const std::string& path, const LooseTensors& tensors) {
  std::vector<SafetensorsEntry> entries;
  for (const auto& [name, tensor] : tensors) {
    entries.push_back({.name = name, .dtype = tensor.dtype, .shape = tensor.shape});
  }
  write_safetensors_file(
      path, SafetensorsLayout(entries, {{"format", "pt"}}),
      [&](const SafetensorsEntry& entry, WriteFile& out) { out.append(tensors.at(entry.name).bytes); });
}

LooseTensor loose_tensor(const std::vector<uint64_t>& shape, const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return {"F32", shape, bytes};
}

void edit_text(const std::string& path, const std::string& from, const std::string& to) {
  auto text = read_text_file(path, 1 << 24);
  const auto place = text.find(from);
  CHECK(place != std::string::npos, from, " is not in ", path);
  write_text_file_durably(path, text.replace(place, from.size(), to));
}

}  // namespace granule
