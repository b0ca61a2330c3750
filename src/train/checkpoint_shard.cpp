#include "train/checkpoint_shard.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/hash.h"
#include "base/safetensors_header.h"
#include "interchange/float_elements.h"

namespace granule {

namespace {

using Json = nlohmann::json;

// A stretch of state that becomes one tensor of the file, and where its hash goes.
struct TensorSource {
  const OptimizerShard* shard;
  FlatSegment segment;
  StateTensor tensor;
  uint64_t* hash;
};

c10::ScalarType dtype_of(const OptimizerShard& shard, StateTensor tensor) {
  return tensor == StateTensor::kParameter ? at::kFloat : shard.exp_avg.scalar_type();
}

// In host memory: of a tensor that lies elsewhere, or has to be put together, this stretch alone.
at::Tensor values_of(const TensorSource& source) {
  const auto& shard = *source.shard;
  const int64_t begin = source.segment.flat_begin - shard.buffer->slice_begin(), count = source.segment.count;
  switch (source.tensor) {
    case StateTensor::kParameter:
      return shard.master(begin, count).to(at::kCPU);
    case StateTensor::kExpAvg:
      return shard.exp_avg.narrow(0, begin, count).to(at::kCPU);
    case StateTensor::kExpAvgSq:
      return shard.exp_avg_sq.narrow(0, begin, count).to(at::kCPU);
  }
  CHECK(false, "state tensor ", static_cast<int>(source.tensor));
}

CheckpointParameter describe(const FlatBuffer& buffer, const FlatSegment& segment, int64_t file) {
  CheckpointParameter parameter;
  parameter.name = segment.piece->name;
  parameter.shape = segment.piece->shape;
  parameter.dtype = dtype_name(buffer.dtype());
  parameter.placement = buffer.placement() == Placement::kExpert ? "expert" : "dense";
  parameter.slices = {{.begin = segment.piece_begin, .count = segment.count, .file = file}};
  return parameter;
}

ShardReport parse_report(const std::string& text) {
  const auto json = Json::parse(text);
  ShardReport report;
  for (const auto& item : json.at("files")) report.files.push_back({item.at(0), item.at(1), item.at(2)});
  for (const auto& item : json.at("parameters")) {
    auto& parameter = report.parameters.emplace_back();
    item.at(0).get_to(parameter.name);
    item.at(1).get_to(parameter.shape);
    item.at(2).get_to(parameter.dtype);
    item.at(3).get_to(parameter.placement);
    auto& slice = parameter.slices.emplace_back();
    item.at(4).get_to(slice.begin);
    item.at(5).get_to(slice.count);
    item.at(6).get_to(slice.file);
    item.at(7).get_to(slice.hash);
  }
  return report;
}

}  // namespace

void write_shard(const CheckpointFiles& files, const std::string& directory, const std::string& name,
                 const Optimizer& optimizer, ShardReport& report) {
  const auto file_index = static_cast<int64_t>(report.files.size());
  std::vector<std::pair<FlatSegment, const OptimizerShard*>> segments;
  for (const auto& shard : optimizer.shards()) {
    for (const auto& segment : shard.buffer->own_segments()) segments.emplace_back(segment, &shard);
  }
  const size_t first = report.parameters.size();
  for (const auto& [segment, shard] : segments) {
    report.parameters.push_back(describe(*shard->buffer, segment, file_index));
  }

  std::vector<SafetensorsEntry> entries;
  std::map<std::string, TensorSource> sources;
  for (size_t i = 0; i < segments.size(); ++i) {
    const auto& [segment, shard] = segments[i];
    auto& parameter = report.parameters[first + i];
    auto& slice = parameter.slices.front();
    for (const auto tensor : kStateTensors) {
      const auto tensor_name = slice_tensor_name(tensor, parameter.name, slice);
      sources[tensor_name] = {shard, segment, tensor, &slice.hash[static_cast<size_t>(tensor)]};
      entries.push_back({.name = tensor_name,
                         .dtype = dtype_name(dtype_of(*shard, tensor)),
                         .shape = {static_cast<uint64_t>(segment.count)}});
    }
  }
  const SafetensorsLayout layout(std::move(entries), {{"format", "pt"}});
  CheckpointFile file(files, directory + "/" + name);
  file.append(layout.prefix());
  for (const auto& entry : layout.entries()) {
    const auto& source = sources.at(entry.name);
    const auto values = values_of(source);
    file.append(values.const_data_ptr(), values.nbytes());
    *source.hash = hash_bytes(values.const_data_ptr(), values.nbytes());
  }
  file.sync();
  CHECK(file.size() == layout.file_size(), name, " has ", file.size(), " bytes, planned ",
        layout.file_size());
  report.files.push_back({name, file.size(), file.hash()});
}

std::string print_report(const ShardReport& report) {
  Json files = Json::array(), parameters = Json::array();
  for (const auto& file : report.files) files.push_back({file.name, file.bytes, file.hash});
  for (const auto& parameter : report.parameters) {
    const auto& slice = parameter.slices.front();
    parameters.push_back({parameter.name, parameter.shape, parameter.dtype, parameter.placement, slice.begin,
                          slice.count, slice.file, slice.hash});
  }
  return Json{{"files", files}, {"parameters", parameters}}.dump();
}

void merge_reports(const std::vector<std::string>& reports, CheckpointManifest& manifest) {
  std::map<std::string, CheckpointParameter> by_name;
  for (const auto& text : reports) {
    const auto report = parse_report(text);
    const auto first_file = static_cast<int64_t>(manifest.files.size());
    manifest.files.insert(manifest.files.end(), report.files.begin(), report.files.end());
    for (const auto& part : report.parameters) {
      auto slice = part.slices.front();
      slice.file += first_file;
      const auto [place, is_new] = by_name.try_emplace(part.name, part);
      auto& whole = place->second;
      CHECK(whole.shape == part.shape && whole.dtype == part.dtype, part.name, " differs between ranks");
      if (is_new) whole.slices.clear();
      whole.slices.push_back(slice);
    }
  }
  for (auto& [name, parameter] : by_name) {
    std::sort(parameter.slices.begin(), parameter.slices.end(),
              [](const auto& a, const auto& b) { return a.begin < b.begin; });
    manifest.parameters.push_back(std::move(parameter));
  }
}

}  // namespace granule
