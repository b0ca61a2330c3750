#pragma once
// manifest.json of a checkpoint: what the run remembers, and which file holds which elements of which
// parameter. Its first member is the XXH3 of all that follows, so that no damage to it goes unnoticed.

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/check.h"

namespace granule {

/// What a run remembers besides tensors.
struct TrainState {
  int64_t step = 0;  ///< steps done, skipped ones too
  int64_t consumed_samples = 0;
  int64_t consumed_tokens = 0;
  int64_t skipped_steps = 0;
  int64_t skipped_in_a_row = 0;
  int64_t seed = 0;
  uint64_t data_fingerprint = 0;  ///< of the training data (SampleSource); 0: unknown
  uint64_t base_fingerprint =
      0;  ///< of the model that adapters belong to (ParameterSource); 0: none, or unknown
};

/// The tensors kept of every parameter: itself in fp32, moments in fp32 or bf16. The parameter is the master
/// copy: bf16 parameters are its rounding.
enum class StateTensor { kParameter, kExpAvg, kExpAvgSq };
inline constexpr std::array kStateTensors = {StateTensor::kParameter, StateTensor::kExpAvg,
                                             StateTensor::kExpAvgSq};

/// A parameter's elements [begin, begin + count), in row-major order, in one file.
struct CheckpointSlice {
  int64_t begin = 0;
  int64_t count = 0;
  int64_t file = 0;                                      ///< index in `files`
  std::array<uint64_t, kStateTensors.size()> hash = {};  ///< of the bytes of each state tensor kept
};

struct CheckpointParameter {
  std::string name;
  std::vector<int64_t> shape;
  std::string dtype;                    ///< of the model's tensor: "F32" or "BF16"
  std::string placement;                ///< "dense" or "expert"
  std::vector<CheckpointSlice> slices;  ///< in order, without hole or overlap

  int64_t num_elements() const;
};

struct CheckpointFileRecord {
  std::string name;
  uint64_t bytes = 0;
  uint64_t hash = 0;
};

/// The ranks that wrote it: for people; any layout can read it.
struct CheckpointLayout {
  int64_t pipeline = 1;
  int64_t data = 1;
  int64_t expert = 1;
};

struct CheckpointManifest {
  TrainState state;
  int64_t num_updates = 0;
  bool has_moments = true;  ///< false: values alone, of a model that comes from elsewhere
  CheckpointLayout layout;
  std::vector<CheckpointFileRecord> files;
  std::vector<CheckpointParameter> parameters;  ///< by name

  const CheckpointParameter* find(const std::string& name) const;
  /// What is kept of every parameter.
  std::span<const StateTensor> state_tensors() const {
    return std::span(kStateTensors).first(has_moments ? kStateTensors.size() : 1);
  }
};

/// Written by a version of Granule that this one does not know: no damage, but not to be read.
class CheckpointVersionError : public InputError {
  using InputError::InputError;
};

std::string print_manifest(const CheckpointManifest& manifest);
/// Checks everything that follows from the text alone. Throws InputError naming `path`,
/// CheckpointVersionError.
CheckpointManifest parse_manifest(const std::string& text, const std::string& path);

/// The name of a slice's tensor in its file: "exp_avg/model.norm.weight[0:64]".
std::string slice_tensor_name(StateTensor tensor, const std::string& parameter, const CheckpointSlice& slice);

}  // namespace granule
