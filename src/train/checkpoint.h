#pragma once
// A complete checkpoint, open for reading: by parameter name and element range, so that any layout takes from
// it what it needs.

#include <functional>
#include <map>
#include <span>
#include <string>

#include "base/safetensors.h"
#include "model/parameter_source.h"
#include "train/checkpoint_manifest.h"

namespace granule {

class Checkpoint : public ParameterSource {
 public:
  /// Checks the manifest and that exactly its files are there with their sizes; contents: verify_file.
  /// Throws InputError naming the damaged file, CheckpointVersionError.
  explicit Checkpoint(const std::string& path);

  const std::string& path() const override { return path_; }
  const CheckpointManifest& manifest() const { return manifest_; }

  using OnRead = std::function<void(uint64_t bytes)>;
  /// Reads all of file `index` of the manifest, a few megabytes at a time, and calls `on_read` after each.
  /// Throws InputError naming the file and, if it can be told, the tensor that is damaged, with the hash it
  /// has and the one it should have.
  void verify_file(
      size_t index, const OnRead& on_read = [](uint64_t) {}) const;

  /// The elements [begin, begin + values.size()) of a parameter, or of one of its moments, if it has them.
  /// Throws InputError.
  void read(StateTensor tensor, const CheckpointParameter& parameter, int64_t begin,
            std::span<float> values) const;

  std::vector<std::string> parameter_names() const override;
  const std::vector<int64_t>* find_shape(const std::string& name) const override;
  void read_values(const std::string& name, int64_t begin, std::span<float> values) const override;

 private:
  std::string file_path(size_t index) const { return path_ + "/" + manifest_.files[index].name; }
  const SafetensorsFile& shard(size_t index) const;
  std::string find_damaged_tensor(size_t index, const OnRead& on_read) const;

  std::string path_;
  CheckpointManifest manifest_;
  mutable std::map<size_t, SafetensorsFile> shards_;  // opened when first read from
};

}  // namespace granule
