#include "interchange/hugging_face_tensors.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/strict_json.h"
#include "interchange/float_elements.h"

namespace granule {

namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxIndexBytes = uint64_t{1} << 28;

// Shards lie beside their index, nowhere else.
std::string checked_file_name(const JsonField& field) {
  auto name = field.text();
  if (!is_plain_file_name(name)) field.refuse("names no file of this directory");
  if (!name.ends_with(".safetensors")) field.refuse("is \"" + name + "\", which is no safetensors file");
  return name;
}

}  // namespace

std::string shard_name(size_t number, size_t num_shards) {
  if (num_shards == 1) return kSingleShard;
  char name[64];
  std::snprintf(name, sizeof(name), "model-%05zu-of-%05zu.safetensors", number + 1, num_shards);
  return name;
}

std::vector<int64_t> HuggingFaceTensors::Tensor::shape() const {
  return {entry->shape.begin(), entry->shape.end()};
}

int64_t HuggingFaceTensors::Tensor::num_elements() const {
  return static_cast<int64_t>(entry->num_bytes() / float_bytes(entry->dtype));
}

HuggingFaceTensors::HuggingFaceTensors(const std::string& directory) {
  if (!fs::is_directory(directory)) throw InputError(directory, "there is no such directory");
  if (fs::exists(directory + "/" + kSingleShard)) {
    const auto& file = open(directory + "/" + kSingleShard);
    for (const auto& entry : file.entries()) add(file, entry);
  } else if (fs::exists(directory + "/" + kShardIndex)) {
    read_index(directory);
  } else {
    throw InputError(directory, "has neither ", kSingleShard, " nor ", kShardIndex,
                     "; other formats are not read (pickled ones never are): save the model with "
                     "safe_serialization=True");
  }
}

const SafetensorsFile& HuggingFaceTensors::open(const std::string& path) {
  return *files_.emplace_back(std::make_unique<SafetensorsFile>(path));
}

void HuggingFaceTensors::add(const SafetensorsFile& file, const SafetensorsEntry& entry) {
  if (float_bytes(entry.dtype) == 0) {
    throw InputError(file.path(), entry.name, " is ", entry.dtype, "; F32, F16 and BF16 are read");
  }
  tensors_.emplace(entry.name, Tensor{&file, &entry});
}

void HuggingFaceTensors::read_index(const std::string& directory) {
  const auto path = directory + "/" + kShardIndex;
  const auto document = read_strict_json(path, kMaxIndexBytes);
  const auto weight_map = JsonField(path, document)["weight_map"];
  if (!weight_map.value().is_object()) weight_map.refuse("is no object of tensor names and files");
  std::map<std::string, const SafetensorsFile*> by_name;
  std::map<std::string, std::string> file_of;
  for (const auto& [tensor, file] : weight_map.value().items()) {
    const auto name = checked_file_name(JsonField(path, file, "weight_map." + tensor));
    if (!by_name.contains(name)) by_name[name] = &open(directory + "/" + name);
    if (by_name[name]->find(tensor) == nullptr) {
      throw InputError(by_name[name]->path(), "has no ", tensor, ", which ", kShardIndex, " says it has");
    }
    file_of[tensor] = name;
  }
  for (const auto& [name, file] : by_name) {
    for (const auto& entry : file->entries()) {
      const auto place = file_of.find(entry.name);
      if (place == file_of.end())
        throw InputError(file->path(), "has ", entry.name, ", which ", kShardIndex, " lacks");
      if (place->second != name) {
        throw InputError(file->path(), "has ", entry.name, " for the second time: it lies in ",
                         place->second);
      }
      add(*file, entry);
    }
  }
}

const HuggingFaceTensors::Tensor* HuggingFaceTensors::find(const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

void HuggingFaceTensors::read(const Tensor& tensor, int64_t begin, std::span<float> values) const {
  read_floats(*tensor.file, *tensor.entry, begin, values);
}

}  // namespace granule
