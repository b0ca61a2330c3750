#include "base/safetensors.h"

#include <unistd.h>

#include <algorithm>
#include <numeric>

#include "base/check.h"

namespace granule {

void write_safetensors_file(const std::string& path, const SafetensorsLayout& layout,
                            const std::function<void(const SafetensorsEntry&, WriteFile&)>& write_entry) {
  const auto temporary = join_text(path, ".tmp-", getpid());
  try {
    WriteFile file(temporary);
    file.append(layout.prefix());
    for (const auto& entry : layout.entries()) {
      write_entry(entry, file);
      const auto expected = layout.prefix().size() + entry.end;
      CHECK(file.size() == expected, entry.name, " ended at byte ", file.size(), ", expected ", expected);
    }
    file.sync();
    rename_durably(temporary, path);
  } catch (...) {
    unlink(temporary.c_str());
    throw;
  }
}

SafetensorsFile::SafetensorsFile(const std::string& path) : file_(path) {
  uint64_t length = 0;
  if (file_.size() < sizeof(length)) {
    throw InputError(path, "is ", file_.size(), " bytes long, too short for a safetensors file");
  }
  file_.read_at(0, &length, sizeof(length));
  if (length > SafetensorsHeader::kMaxBytes) {
    throw InputError(path, "claims a header of ", length, " bytes, at most ", SafetensorsHeader::kMaxBytes,
                     " are accepted");
  }
  if (length > file_.size() - sizeof(length)) {
    throw InputError(path, "claims a header of ", length, " bytes, but is ", file_.size(), " bytes long");
  }
  std::string json(length, '\0');
  file_.read_at(sizeof(length), json.data(), json.size());
  data_begin_ = sizeof(length) + length;
  header_ = parse_safetensors_header(json, file_.size() - data_begin_, path);

  by_name_.resize(header_.entries.size());
  std::iota(by_name_.begin(), by_name_.end(), size_t{0});
  std::sort(by_name_.begin(), by_name_.end(),
            [&](size_t a, size_t b) { return header_.entries[a].name < header_.entries[b].name; });
}

const SafetensorsEntry* SafetensorsFile::find(const std::string& name) const {
  const auto found = std::lower_bound(
      by_name_.begin(), by_name_.end(), name,
      [&](size_t index, const auto& wanted) { return header_.entries[index].name < wanted; });
  if (found == by_name_.end() || header_.entries[*found].name != name) return nullptr;
  return &header_.entries[*found];
}

void SafetensorsFile::read(const SafetensorsEntry& entry, uint64_t offset, void* bytes, size_t count) const {
  if (offset > entry.num_bytes() || count > entry.num_bytes() - offset) {
    throw InputError(path(), entry.name, " holds ", entry.num_bytes(), " bytes, but ", count,
                     " are needed from offset ", offset);
  }
  file_.read_at(data_begin_ + entry.begin + offset, bytes, count);
}

}  // namespace granule
