#pragma once
// The header of a safetensors file: which tensors it holds and where. Reading accepts nothing that the
// reference (Rust) refuses, and besides refuses duplicate keys, anything before the `{`, and more than the
// limits below. Knows no tensor type.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace granule {

struct SafetensorsEntry {
  std::string name;
  std::string dtype;  ///< "F32", "BF16" ...
  std::vector<uint64_t> shape;
  uint64_t begin = 0;  ///< first byte, counted from the end of the header
  uint64_t end = 0;

  uint64_t num_bytes() const { return end - begin; }
};

using SafetensorsMetadata = std::vector<std::pair<std::string, std::string>>;

struct SafetensorsHeader {
  static constexpr uint64_t kMaxBytes = 100'000'000;
  static constexpr uint64_t kMaxTensors = 1'000'000;
  static constexpr uint64_t kMaxDims = 8;
  static constexpr uint64_t kMaxNameBytes = 4096;
  static constexpr uint64_t kMaxDepth = 32;

  SafetensorsMetadata metadata;
  std::vector<SafetensorsEntry> entries;  ///< in the order of their bytes
};

/// Bits of an element, 0 for a name that is no dtype of the format.
uint64_t safetensors_dtype_bits(const std::string& dtype);

/// Checks everything, also that the tensors fill the `data_bytes` bytes behind the header without hole or
/// overlap. Throws InputError; `path` is for its message.
SafetensorsHeader parse_safetensors_header(const std::string& json, uint64_t data_bytes,
                                           const std::string& path);

/// The header of a file about to be written.
class SafetensorsLayout {
 public:
  /// Orders the entries as the reference writer does (widest dtype first, then by name) and gives them their
  /// places; `begin` and `end` as passed mean nothing. Fails on unknown dtypes, equal names and sizes that
  /// overflow.
  SafetensorsLayout(std::vector<SafetensorsEntry> entries, SafetensorsMetadata metadata);

  const std::vector<SafetensorsEntry>& entries() const { return header_.entries; }
  /// The file's first bytes: length and JSON. The tensors' bytes follow without gaps, in the order of
  /// `entries`.
  const std::string& prefix() const { return prefix_; }
  uint64_t file_size() const;

 private:
  SafetensorsHeader header_;
  std::string prefix_;
};

}  // namespace granule
