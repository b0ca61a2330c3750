#pragma once
// Small models for tests of interchange: configs that each architecture can hold, values that tell every
// element of every parameter apart, and Hugging Face directories made of them.

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/safetensors.h"
#include "model/model_config.h"
#include "model/parameter_source.h"

namespace granule {

/// A config that the architecture called `model_type` can hold, every number of it unlike its default.
ModelConfig interchange_config(const std::string& model_type);

/// Parameters of a model of `config`, each element a multiple of 1/64 that fp16 and bf16 hold exactly, not 0,
/// depending on name and place.
class CodedParameters : public ParameterSource {
 public:
  explicit CodedParameters(const ModelConfig& config);

  const std::string& path() const override { return path_; }
  std::vector<std::string> parameter_names() const override;
  const std::vector<int64_t>* find_shape(const std::string& name) const override;
  void read_values(const std::string& name, int64_t begin, std::span<float> values) const override;

 private:
  std::string path_ = "coded";
  std::map<std::string, std::vector<int64_t>> shapes_;
};

/// Writes a directory with the product's own writer.
void write_coded_directory(const std::string& directory, const std::string& model_type,
                           const ModelConfig& config, const std::string& dtype = "F32",
                           uint64_t max_shard_bytes = 1 << 30);

/// A tensor outside a file.
struct LooseTensor {
  std::string dtype;
  std::vector<uint64_t> shape;
  std::string bytes;
};
using LooseTensors = std::map<std::string, LooseTensor>;
LooseTensors read_loose_tensors(const std::string& path);
void write_loose_tensors(const std::string& path, const LooseTensors& tensors);
/// `values` as an fp32 tensor.
LooseTensor loose_tensor(const std::vector<uint64_t>& shape, const std::vector<float>& values);

/// Changes the text of a file.
void edit_text(const std::string& path, const std::string& from, const std::string& to);

}  // namespace granule
