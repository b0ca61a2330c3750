#pragma once
// Safetensors files: bytes are read by position and written in pieces, durably. Knows no tensor type.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/safetensors_header.h"

namespace granule {

/// A file open for reading, its header checked.
class SafetensorsFile {
 public:
  /// Throws InputError naming what is wrong.
  explicit SafetensorsFile(const std::string& path);

  const std::string& path() const { return file_.path(); }
  uint64_t size() const { return file_.size(); }
  const SafetensorsMetadata& metadata() const { return header_.metadata; }
  const std::vector<SafetensorsEntry>& entries() const { return header_.entries; }
  /// Null if there is none of that name.
  const SafetensorsEntry* find(const std::string& name) const;

  /// `count` bytes of the entry from its byte `offset`. Throws InputError beyond its end.
  void read(const SafetensorsEntry& entry, uint64_t offset, void* bytes, size_t count) const;

 private:
  ReadFile file_;
  SafetensorsHeader header_;
  std::vector<size_t> by_name_;  // indices of entries
  uint64_t data_begin_ = 0;
};

/// Writes a whole file through a temporary one beside it. `write_entry` appends the bytes of one entry,
/// called in the layout's order. Throws OutputError.
void write_safetensors_file(const std::string& path, const SafetensorsLayout& layout,
                            const std::function<void(const SafetensorsEntry&, WriteFile&)>& write_entry);

}  // namespace granule
