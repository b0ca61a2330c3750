#include "train/checkpoint.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/file.h"
#include "base/hash.h"
#include "interchange/float_elements.h"
#include "train/checkpoint_directory.h"

namespace granule {

namespace {

constexpr uint64_t kMaxManifestBytes = uint64_t{1} << 30;
constexpr size_t kReadBytes = size_t{1} << 22;
constexpr size_t kMaxOpenShards = 64;

// Shards are named rank-*: a copy gone astray or a leftover of another checkpoint.
void refuse_unknown_shards(const std::string& path, const CheckpointManifest& manifest) {
  std::set<std::string> known;
  for (const auto& file : manifest.files) known.insert(file.name);
  std::error_code error;
  for (auto entry = std::filesystem::directory_iterator(path, error); !error && entry != decltype(entry)();
       entry.increment(error)) {
    const auto name = entry->path().filename().string();
    if (name.starts_with("rank-") && !known.contains(name)) {
      throw InputError(path + "/" + name, "belongs to no rank of this checkpoint");
    }
  }
  if (error) throw ReadError(path, "listed", error.value());
}

// Of `size` bytes; `read(offset, bytes, count)` fetches some of them.
template <class Read>
uint64_t hash_of(uint64_t size, const Read& read, const Checkpoint::OnRead& on_read) {
  Hasher hasher;
  std::vector<char> buffer(static_cast<size_t>(std::min<uint64_t>(kReadBytes, size)));
  for (uint64_t offset = 0; offset < size; offset += buffer.size()) {
    const auto count = static_cast<size_t>(std::min<uint64_t>(buffer.size(), size - offset));
    read(offset, buffer.data(), count);
    hasher.update(buffer.data(), count);
    on_read(count);
  }
  return hasher.digest();
}

}  // namespace

Checkpoint::Checkpoint(const std::string& path) : path_(path) {
  const auto manifest_path = path_ + "/" + kManifestName;
  manifest_ = parse_manifest(read_text_file(manifest_path, kMaxManifestBytes), manifest_path);
  for (size_t i = 0; i < manifest_.files.size(); ++i) {
    const auto size = ReadFile(file_path(i)).size();
    if (size != manifest_.files[i].bytes) {
      throw InputError(file_path(i), "has ", size, " bytes, was written with ", manifest_.files[i].bytes);
    }
  }
  refuse_unknown_shards(path_, manifest_);
}

void Checkpoint::verify_file(size_t index, const OnRead& on_read) const {
  const ReadFile file(file_path(index));
  const auto read = [&](uint64_t offset, void* bytes, size_t count) { file.read_at(offset, bytes, count); };
  const auto actual = hash_of(file.size(), read, on_read), expected = manifest_.files[index].hash;
  if (actual != expected) {
    throw InputError(file_path(index), "is damaged", find_damaged_tensor(index, on_read), ": hash ",
                     hash_text(actual), ", was written with ", hash_text(expected));
  }
}

// " in exp_avg/x.weight[0:4]" if one can be named.
std::string Checkpoint::find_damaged_tensor(size_t index, const OnRead& on_read) const {
  if (!manifest_.files[index].name.starts_with("rank-")) return "";
  try {
    const SafetensorsFile file(file_path(index));
    for (const auto& parameter : manifest_.parameters) {
      for (const auto& slice : parameter.slices) {
        if (slice.file != static_cast<int64_t>(index)) continue;
        for (const auto tensor : manifest_.state_tensors()) {
          const auto name = slice_tensor_name(tensor, parameter.name, slice);
          const auto* entry = file.find(name);
          if (entry == nullptr) return " in its header";
          const auto read = [&](uint64_t offset, void* bytes, size_t count) {
            file.read(*entry, offset, bytes, count);
          };
          const auto hash = hash_of(entry->num_bytes(), read, on_read);
          if (hash != slice.hash[static_cast<size_t>(tensor)]) return " in " + name;
        }
      }
    }
  } catch (const InputError&) {
    return " in its header";
  }
  return " in its header";
}

const SafetensorsFile& Checkpoint::shard(size_t index) const {
  const auto found = shards_.find(index);
  if (found != shards_.end()) return found->second;
  // There may be more shards than a process may have files open.
  if (shards_.size() >= kMaxOpenShards) shards_.clear();
  return shards_.emplace(index, SafetensorsFile(file_path(index))).first->second;
}

void Checkpoint::read(StateTensor tensor, const CheckpointParameter& parameter, int64_t begin,
                      std::span<float> values) const {
  const auto end = begin + static_cast<int64_t>(values.size());
  CHECK(begin >= 0 && end <= parameter.num_elements(), "elements [", begin, ", ", end, ") of ",
        parameter.name);
  for (const auto& slice : parameter.slices) {
    const auto from = std::max(begin, slice.begin);
    const auto to = std::min(end, slice.begin + slice.count);
    if (from >= to) continue;
    const auto& file = shard(static_cast<size_t>(slice.file));
    const auto name = slice_tensor_name(tensor, parameter.name, slice);
    const auto* entry = file.find(name);
    if (entry == nullptr) throw InputError(file.path(), "has no tensor ", name);
    const auto element_bytes = float_bytes(entry->dtype);
    if (element_bytes == 0 || entry->num_bytes() != static_cast<uint64_t>(slice.count) * element_bytes) {
      throw InputError(file.path(), name, " is ", entry->dtype, " of ", entry->num_bytes(), " bytes");
    }
    read_floats(file, *entry, from - slice.begin,
                values.subspan(static_cast<size_t>(from - begin), static_cast<size_t>(to - from)));
  }
}

std::vector<std::string> Checkpoint::parameter_names() const {
  std::vector<std::string> names;
  for (const auto& parameter : manifest_.parameters) names.push_back(parameter.name);
  return names;
}

const std::vector<int64_t>* Checkpoint::find_shape(const std::string& name) const {
  const auto* parameter = manifest_.find(name);
  return parameter == nullptr ? nullptr : &parameter->shape;
}

void Checkpoint::read_values(const std::string& name, int64_t begin, std::span<float> values) const {
  const auto* parameter = manifest_.find(name);
  CHECK(parameter != nullptr, path_, " has no ", name);
  read(StateTensor::kParameter, *parameter, begin, values);
}

}  // namespace granule
