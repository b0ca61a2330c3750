#include "interchange/hugging_face_directory.h"

#include <c10/util/accumulate.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/text.h"

namespace granule {

namespace {

constexpr uint64_t kMaxConfigBytes = uint64_t{1} << 24;
constexpr char kEmbedding[] = "model.embed_tokens.weight";
constexpr char kHead[] = "lm_head.weight";

std::vector<TensorPlace> places_of(const StoredTensor& stored) {
  std::vector<TensorPlace> places = {{stored.name, stored.shape}};
  places.insert(places.end(), stored.elsewhere.begin(), stored.elsewhere.end());
  return places;
}

}  // namespace

bool is_hugging_face_directory(const std::string& path) {
  return std::filesystem::exists(path + "/" + kConfigJson);
}

HuggingFaceDirectory::HuggingFaceDirectory(const std::string& path) : path_(path), tensors_(path) {
  read_config();
  place_tensors();
}

void HuggingFaceDirectory::read_config() {
  const auto path = path_ + "/" + kConfigJson;
  const auto document = read_strict_json(path, kMaxConfigBytes);
  const JsonField config(path, document);
  architecture_ = &architecture_of(config);
  config_ = architecture_->read_config(config);
  max_position_embeddings_ = config["max_position_embeddings"].integer(1, int64_t{1} << 24);
  try {
    config_.check();
  } catch (const ConfigError& error) {
    throw InputError(path, "says what no model can be: ", error.what());
  }
}

void HuggingFaceDirectory::place_tensors() {
  std::set<std::string> used;
  std::vector<std::string> missing;
  for (const auto& stored : architecture_->store(config_)) {
    const auto places = places_of(stored);
    const auto place = std::find_if(places.begin(), places.end(), [&](const auto& candidate) {
      return tensors_.find(candidate.name) != nullptr;
    });
    if (place == places.end()) {
      if (!stored.optional) missing.push_back(stored.name);
      continue;
    }
    const auto& tensor = *tensors_.find(place->name);
    if (tensor.shape() != place->shape) {
      throw InputError(tensor.file->path(), place->name, " has shape ", shape_text(tensor.shape()), ", ",
                       kConfigJson, " makes it ", shape_text(place->shape));
    }
    used.insert(place->name);
    if (stored.parameter.empty()) {
      require_zeros(tensor);
    } else {
      parameters_[stored.parameter] = {stored.shape, &tensor, place->begin, stored.factor};
    }
  }
  if (!missing.empty()) {
    throw InputError(path_, "has no ", missing.front(), ", which a ", architecture_->model_type, " of its ",
                     kConfigJson, " has; missing in all: ", missing.size());
  }
  account_for_rest(used);
}

// Nothing in the files may go unnoticed.
void HuggingFaceDirectory::account_for_rest(const std::set<std::string>& used) const {
  for (const auto& [name, tensor] : tensors_.all()) {
    if (used.contains(name)) continue;
    if (name.ends_with(".rotary_emb.inv_freq"))
      continue;  // older transformers stored what follows from rope_theta
    if (name.ends_with(".bias")) {
      require_zeros(tensor);
    } else if (name == kHead && config_.tie_word_embeddings) {
      require_equal_head(tensor);
    } else {
      throw InputError(tensor.file->path(), "holds ", name, ", which a ", architecture_->model_type,
                       " of its ", kConfigJson, " does not have");
    }
  }
}

void HuggingFaceDirectory::require_zeros(const HuggingFaceTensors::Tensor& tensor) const {
  tensors_.for_each_stretch(tensor, [&](int64_t begin, std::span<const float> values) {
    const auto other = std::find_if(values.begin(), values.end(), [](float value) { return value != 0; });
    if (other == values.end()) return;
    throw InputError(tensor.file->path(), tensor.entry->name,
                     " must be all zeros, since Granule has no such part, "
                     "but its element ",
                     begin + (other - values.begin()), " is ", *other);
  });
}

void HuggingFaceDirectory::require_equal_head(const HuggingFaceTensors::Tensor& head) const {
  const auto& embedding = *tensors_.find(kEmbedding);
  if (head.shape() != embedding.shape()) {
    throw InputError(head.file->path(), kHead, " has shape ", shape_text(head.shape()), ", but is tied to ",
                     kEmbedding);
  }
  std::vector<float> others;
  tensors_.for_each_stretch(head, [&](int64_t begin, std::span<const float> values) {
    others.resize(values.size());
    tensors_.read(embedding, begin, others);
    if (std::equal(values.begin(), values.end(), others.begin())) return;
    throw InputError(head.file->path(), kHead, " differs from ", kEmbedding, ", though ", kConfigJson,
                     " ties them (tie_word_embeddings)");
  });
}

const std::string& HuggingFaceDirectory::dtype() const {
  return tensors_.find(kEmbedding)->entry->dtype;
}

std::vector<std::string> HuggingFaceDirectory::parameter_names() const {
  std::vector<std::string> names;
  for (const auto& [name, parameter] : parameters_) names.push_back(name);
  return names;
}

const std::vector<int64_t>* HuggingFaceDirectory::find_shape(const std::string& name) const {
  const auto found = parameters_.find(name);
  return found == parameters_.end() ? nullptr : &found->second.shape;
}

void HuggingFaceDirectory::read_values(const std::string& name, int64_t begin,
                                       std::span<float> values) const {
  const auto& parameter = parameters_.at(name);
  CHECK(begin >= 0 && begin + static_cast<int64_t>(values.size()) <= c10::multiply_integers(parameter.shape),
        "elements from ", begin, " of ", name);
  tensors_.read(*parameter.tensor, parameter.begin + begin, values);
  for (auto& value : values) value /= parameter.factor;
}

}  // namespace granule
