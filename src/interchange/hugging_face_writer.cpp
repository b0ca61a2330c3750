#include "interchange/hugging_face_writer.h"

#include <c10/util/accumulate.h>

#include <map>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/file.h"
#include "base/safetensors.h"
#include "base/stretches.h"
#include "interchange/config_json.h"
#include "interchange/float_elements.h"
#include "interchange/hugging_face_directory.h"

namespace granule {

namespace {

using Json = nlohmann::ordered_json;

const std::string kFp32 = "F32";

void check_source(const ParameterSource& source, const std::vector<StoredTensor>& tensors) {
  for (const auto& tensor : tensors) {
    if (tensor.parameter.empty()) continue;
    check_parameter(source, tensor.parameter, tensor.shape);
  }
}

Json id_or_null(const std::optional<int64_t>& id) {
  return id ? Json(*id) : Json();
}

}  // namespace

HuggingFaceWriter::HuggingFaceWriter(const Architecture& architecture, const ModelConfig& config,
                                     const ParameterSource& source, ExportDetails details,
                                     uint64_t max_shard_bytes)
    : architecture_(architecture), config_(config), source_(source), details_(std::move(details)) {
  auto tensors = architecture.store(config);
  check_source(source, tensors);
  uint64_t shard_bytes = 0;
  for (auto& tensor : tensors) {
    const auto bytes = num_bytes(tensor);
    if (shards_.empty() || shard_bytes + bytes > max_shard_bytes) {
      shards_.emplace_back();
      shard_bytes = 0;
    }
    shard_bytes += bytes;
    total_bytes_ += bytes;
    shards_.back().push_back(std::move(tensor));
  }
}

const std::string& HuggingFaceWriter::dtype_of(const StoredTensor& tensor) const {
  return tensor.fp32 ? kFp32 : details_.dtype;
}

uint64_t HuggingFaceWriter::num_bytes(const StoredTensor& tensor) const {
  return static_cast<uint64_t>(c10::multiply_integers(tensor.shape)) * float_bytes(dtype_of(tensor));
}

std::vector<std::string> HuggingFaceWriter::file_names() const {
  std::vector<std::string> names{kConfigJson};
  if (num_shards() > 1) names.emplace_back(kShardIndex);
  for (size_t i = 0; i < num_shards(); ++i) names.push_back(shard_name(i, num_shards()));
  return names;
}

void HuggingFaceWriter::write_shard(const std::string& directory, size_t number) const {
  std::vector<SafetensorsEntry> entries;
  std::map<std::string, const StoredTensor*> by_name;
  for (const auto& tensor : shards_[number]) {
    by_name[tensor.name] = &tensor;
    entries.push_back({.name = tensor.name,
                       .dtype = dtype_of(tensor),
                       .shape = {tensor.shape.begin(), tensor.shape.end()}});
  }
  const SafetensorsLayout layout(std::move(entries), {{"format", "pt"}});
  const auto append = [&](const SafetensorsEntry& entry, WriteFile& file) {
    const auto& tensor = *by_name.at(entry.name);
    std::vector<float> values;
    std::vector<char> bytes;
    for_each_stretch(c10::multiply_integers(tensor.shape), [&](int64_t begin, int64_t size) {
      values.assign(static_cast<size_t>(size), 0.0f);
      if (!tensor.parameter.empty()) source_.read_values(tensor.parameter, begin, values);
      for (auto& value : values) value *= tensor.factor;
      bytes.resize(values.size() * float_bytes(entry.dtype));
      narrow(entry.dtype, values, bytes.data());
      file.append(bytes.data(), bytes.size());
    });
  };
  write_safetensors_file(directory + "/" + shard_name(number, num_shards()), layout, append);
}

void HuggingFaceWriter::write_config(const std::string& directory) const {
  if (num_shards() > 1) {
    std::map<std::string, std::string> weight_map;
    for (size_t i = 0; i < num_shards(); ++i) {
      for (const auto& tensor : shards_[i]) weight_map[tensor.name] = shard_name(i, num_shards());
    }
    const Json index = {{"metadata", {{"total_size", total_bytes_}}}, {"weight_map", weight_map}};
    write_text_file_durably(directory + "/" + kShardIndex, index.dump(2) + "\n");
  }
  const auto* torch_dtype = details_.dtype == "BF16" ? "bfloat16" : "float32";
  Json json;
  json["architectures"] = {architecture_.class_name};
  json["model_type"] = architecture_.model_type;
  write_common_config(config_, json);
  json["max_position_embeddings"] = details_.max_position_embeddings;
  architecture_.write_config(config_, json);
  json["bos_token_id"] = id_or_null(details_.bos_token_id);
  json["eos_token_id"] = id_or_null(details_.eos_token_id);
  json["dtype"] = torch_dtype;
  json["torch_dtype"] = torch_dtype;
  json["use_cache"] = true;
  write_text_file_durably(directory + "/" + kConfigJson, json.dump(2) + "\n");
}

}  // namespace granule
