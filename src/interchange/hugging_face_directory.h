#pragma once
// A model as Hugging Face's transformers keep it, config.json and safetensors files: the values of Granule's
// parameters by name and range, and the config they belong to.

#include <map>
#include <set>
#include <string>
#include <vector>

#include "interchange/architecture.h"
#include "interchange/hugging_face_tensors.h"
#include "model/parameter_source.h"

namespace granule {

inline constexpr char kConfigJson[] = "config.json";

/// Whether `path` is such a directory; a run or a checkpoint of Granule is not.
bool is_hugging_face_directory(const std::string& path);

class HuggingFaceDirectory : public ParameterSource {
 public:
  /// Reads config.json and all headers, and the numbers that must be zeros. Throws InputError naming field
  /// and value for a model that Granule cannot represent, and the tensor that is missing, left over or of
  /// another shape.
  explicit HuggingFaceDirectory(const std::string& path);

  /// Checked. Training settings (balance losses and so on) are defaults where config.json does not know them.
  const ModelConfig& config() const { return config_; }
  /// Tokens of the longest text that the model was made for.
  int64_t max_position_embeddings() const { return max_position_embeddings_; }
  /// Of its matrices: "F32", "F16" or "BF16".
  const std::string& dtype() const;

  const std::string& path() const override { return path_; }
  std::vector<std::string> parameter_names() const override;
  const std::vector<int64_t>* find_shape(const std::string& name) const override;
  void read_values(const std::string& name, int64_t begin, std::span<float> values) const override;

 private:
  struct Parameter {
    std::vector<int64_t> shape;
    const HuggingFaceTensors::Tensor* tensor;
    int64_t begin;  // in the tensor
    float factor;   // stored is this times the parameter
  };

  void read_config();
  void place_tensors();
  void account_for_rest(const std::set<std::string>& used) const;
  void require_zeros(const HuggingFaceTensors::Tensor& tensor) const;
  void require_equal_head(const HuggingFaceTensors::Tensor& head) const;

  std::string path_;
  const Architecture* architecture_ = nullptr;
  ModelConfig config_;
  int64_t max_position_embeddings_ = 0;
  HuggingFaceTensors tensors_;
  std::map<std::string, Parameter> parameters_;
};

}  // namespace granule
