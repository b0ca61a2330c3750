#pragma once
// A model as a directory that Hugging Face's transformers load: safetensors shards with their index, and
// config.json. Values are read from their source while they are written. Several ranks may each write some of
// the shards of one plan.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "interchange/architecture.h"
#include "model/parameter_source.h"

namespace granule {

/// What config.json says beside the shape of the model.
struct ExportDetails {
  std::string dtype = "F32";  ///< of the tensors: "F32" or "BF16"
  int64_t max_position_embeddings = 0;
  std::optional<int64_t> bos_token_id;
  std::optional<int64_t> eos_token_id;
};

class HuggingFaceWriter {
 public:
  /// `source` holds the parameters of a model of `config`, which `architecture` can hold; it must outlive the
  /// writer. Shards hold at most `max_shard_bytes` of tensors each, but at least one tensor. Throws
  /// InputError if the source has other parameters or shapes.
  HuggingFaceWriter(const Architecture& architecture, const ModelConfig& config,
                    const ParameterSource& source, ExportDetails details, uint64_t max_shard_bytes);

  size_t num_shards() const { return shards_.size(); }
  /// Of all files that the two below write.
  std::vector<std::string> file_names() const;
  /// Writes one file, whole or not at all. Throws OutputError.
  void write_shard(const std::string& directory, size_t number) const;
  /// Writes the index, if there are several shards, and then config.json: what makes the directory complete.
  void write_config(const std::string& directory) const;

 private:
  using Shard = std::vector<StoredTensor>;

  const std::string& dtype_of(const StoredTensor& tensor) const;
  uint64_t num_bytes(const StoredTensor& tensor) const;

  const Architecture& architecture_;
  const ModelConfig config_;
  const ParameterSource& source_;
  const ExportDetails details_;
  std::vector<Shard> shards_;
  uint64_t total_bytes_ = 0;
};

}  // namespace granule
