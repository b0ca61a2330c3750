#pragma once
// The tensors in the safetensors files of a Hugging Face directory: one file, or shards with an index. All
// that the index and the headers claim is checked; numbers are read when asked for.

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/safetensors.h"
#include "base/stretches.h"

namespace granule {

/// Names of the files, those transformers look for too.
inline constexpr char kSingleShard[] = "model.safetensors";
inline constexpr char kShardIndex[] = "model.safetensors.index.json";
/// model-00001-of-00005.safetensors; `number` counts from 0.
std::string shard_name(size_t number, size_t num_shards);

class HuggingFaceTensors {
 public:
  struct Tensor {
    const SafetensorsFile* file;
    const SafetensorsEntry* entry;

    std::vector<int64_t> shape() const;
    int64_t num_elements() const;
  };

  /// Throws InputError: no such files, an index that names files outside the directory, tensors that the
  /// index and its shards do not have alike, dtypes other than F32, F16 and BF16.
  explicit HuggingFaceTensors(const std::string& directory);

  const std::map<std::string, Tensor>& all() const { return tensors_; }
  /// Null if there is none of that name.
  const Tensor* find(const std::string& name) const;

  /// The elements [begin, begin + values.size()), row-major, as fp32. Throws InputError beyond the end.
  void read(const Tensor& tensor, int64_t begin, std::span<float> values) const;

  /// Calls `work(begin, values)` for all of a tensor, in stretches of a few megabytes.
  template <class Work>
  void for_each_stretch(const Tensor& tensor, const Work& work) const {
    std::vector<float> values;
    granule::for_each_stretch(tensor.num_elements(), [&](int64_t begin, int64_t size) {
      values.resize(static_cast<size_t>(size));
      read(tensor, begin, values);
      work(begin, std::span<const float>(values));
    });
  }

 private:
  const SafetensorsFile& open(const std::string& path);
  void add(const SafetensorsFile& file, const SafetensorsEntry& entry);
  void read_index(const std::string& directory);

  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, Tensor> tensors_;
};

}  // namespace granule
