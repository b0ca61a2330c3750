#include "train/checkpoint_values.h"

#include <map>

#include "base/hash.h"
#include "base/safetensors_header.h"
#include "base/stretches.h"
#include "interchange/float_elements.h"

namespace granule {

namespace {

std::vector<CheckpointParameter> own_parameters(const std::vector<PlacedParameter>& parameters, int rank,
                                                int num_ranks, int64_t file) {
  std::vector<CheckpointParameter> own;
  int64_t number = 0;
  for (const auto& placed : parameters) {
    for (const auto& piece : placed.pieces) {
      if (number++ % num_ranks != rank) continue;
      CheckpointParameter parameter;
      parameter.name = piece.name;
      parameter.shape = piece.shape;
      parameter.dtype = dtype_name(placed.tensor.scalar_type());
      parameter.placement = placed.placement == Placement::kExpert ? "expert" : "dense";
      parameter.slices = {{.begin = 0, .count = parameter.num_elements(), .file = file}};
      own.push_back(std::move(parameter));
    }
  }
  return own;
}

// Appends all of a parameter; returns the hash of its bytes.
uint64_t append_values(const ParameterSource& source, const CheckpointParameter& parameter,
                       CheckpointFile& file) {
  Hasher hasher;
  std::vector<float> values;
  for_each_stretch(parameter.num_elements(), [&](int64_t begin, int64_t size) {
    values.resize(static_cast<size_t>(size));
    source.read_values(parameter.name, begin, values);
    const auto num_bytes = values.size() * sizeof(float);
    file.append(values.data(), num_bytes);
    hasher.update(values.data(), num_bytes);
  });
  return hasher.digest();
}

}  // namespace

void write_values(const CheckpointFiles& files, const std::string& directory, const std::string& name,
                  const ParameterSource& source, const std::vector<PlacedParameter>& parameters, int rank,
                  int num_ranks, ShardReport& report) {
  auto own = own_parameters(parameters, rank, num_ranks, static_cast<int64_t>(report.files.size()));
  std::vector<SafetensorsEntry> entries;
  std::map<std::string, CheckpointParameter*> by_tensor;
  for (auto& parameter : own) {
    const auto& slice = parameter.slices.front();
    const auto tensor_name = slice_tensor_name(StateTensor::kParameter, parameter.name, slice);
    by_tensor[tensor_name] = &parameter;
    entries.push_back({.name = tensor_name, .dtype = "F32", .shape = {static_cast<uint64_t>(slice.count)}});
  }
  const SafetensorsLayout layout(std::move(entries), {{"format", "pt"}});
  CheckpointFile file(files, directory + "/" + name);
  file.append(layout.prefix());
  for (const auto& entry : layout.entries()) {
    auto& parameter = *by_tensor.at(entry.name);
    parameter.slices.front().hash[0] = append_values(source, parameter, file);
  }
  file.sync();
  CHECK(file.size() == layout.file_size(), name, " has ", file.size(), " bytes, planned ",
        layout.file_size());
  report.files.push_back({name, file.size(), file.hash()});
  report.parameters.insert(report.parameters.end(), own.begin(), own.end());
}

}  // namespace granule
