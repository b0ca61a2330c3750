#include "train/checkpoint_directory.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <random>
#include <string_view>

#include "base/check.h"

namespace granule {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "step-";
constexpr std::string_view kTemporary = ".tmp-";
constexpr char kLatest[] = "latest";

std::string padded(int64_t number, size_t width) {
  const auto digits = std::to_string(number);
  return std::string(width - std::min(width, digits.size()), '0') + digits;
}

std::string random_suffix() {
  std::random_device device;
  return hash_text(uint64_t{device()} << 32 | device());
}

// The step in a name like step-0001000, and nothing else.
std::optional<int64_t> step_of(std::string_view name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  int64_t step = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), step);
  if (error != std::errc() || end != name.data() + name.size() ||
      checkpoint_name(step).substr(kPrefix.size()) != name) {
    return std::nullopt;
  }
  return step;
}

// Who moves checkpoints to another disk may leave links; that the disk is not mounted must not look like a new run.
void refuse_dangling_link(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_symlink(path, ignored) && !fs::exists(path, ignored)) {
    throw InputError(path.string(), "is a link that leads nowhere; put back what it leads to, or remove it");
  }
}

bool is_directory(const fs::directory_entry& entry) {
  refuse_dangling_link(entry.path());
  std::error_code ignored;
  return entry.is_directory(ignored);
}

std::vector<fs::directory_entry> entries_of(const std::string& directory) {
  refuse_dangling_link(directory);
  std::error_code error;
  std::vector<fs::directory_entry> entries;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    entries.push_back(*it);
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    throw InputError(directory, "cannot be listed: ", error.message());
  }
  return entries;
}

bool has_manifest(const std::string& path) {
  std::error_code ignored;
  return fs::is_regular_file(fs::path(path) / kManifestName, ignored);
}

}  // namespace

std::string shard_file_name(int rank) {
  return "rank-" + padded(rank, 5) + ".safetensors";
}

std::vector<std::string> tokenizer_names() {
  std::vector<std::string> names{kTokenizerName};
  names.insert(names.end(), kTokenizerSideFiles.begin(), kTokenizerSideFiles.end());
  return names;
}

std::vector<CarriedFile> tokenizer_files(const std::string& tokenizer) {
  std::vector<CarriedFile> found;
  const auto add = [&](const fs::path& path, const char* name) {
    if (fs::exists(path)) found.push_back({path.string(), name});
  };
  add(tokenizer, kTokenizerName);
  for (const auto* name : kTokenizerSideFiles) add(fs::path(tokenizer).replace_filename(name), name);
  return found;
}

std::string checkpoint_name(int64_t step) {
  return std::string(kPrefix) + padded(step, 7);
}

std::vector<FoundCheckpoint> list_checkpoints(const std::string& directory) {
  std::vector<FoundCheckpoint> found;
  for (const auto& entry : entries_of(directory)) {
    const auto step = step_of(entry.path().filename().string());
    if (step && is_directory(entry)) found.push_back({*step, entry.path().string()});
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.step > b.step; });
  return found;
}

std::vector<FoundCheckpoint> find_checkpoints(const std::string& path) {
  auto trimmed = path;
  while (trimmed.size() > 1 && trimmed.ends_with('/')) trimmed.pop_back();
  const auto step = step_of(fs::path(trimmed).filename().string());
  if (step || has_manifest(trimmed)) return {{step.value_or(0), trimmed}};
  auto found = list_checkpoints(trimmed + "/checkpoints");
  return found.empty() ? list_checkpoints(trimmed) : found;
}

void make_checkpoint_directory(const std::string& directory, const CheckpointFiles& files) {
  std::error_code ignored;
  if (fs::is_directory(directory, ignored)) return;
  files.make_directory(directory);
  files.sync_directory(fs::absolute(directory).parent_path().string());
}

std::string temporary_checkpoint_path(const std::string& directory, int64_t step) {
  return join_text(directory, "/", checkpoint_name(step), kTemporary, random_suffix());
}

void remove_stale_checkpoints(const std::string& directory, const CheckpointFiles& files) {
  for (const auto& entry : entries_of(directory)) {
    const auto name = entry.path().filename().string();
    const auto end = name.find(kTemporary);
    if (end == std::string::npos) continue;
    const auto base = name.substr(0, end);
    const bool ours = (step_of(base) && is_directory(entry)) || base == kLatest;
    if (ours) files.remove(entry.path().string());
  }
}

void write_latest(const std::string& directory, int64_t step, const CheckpointFiles& files) {
  const auto path = directory + "/" + kLatest;
  const auto temporary = path + std::string(kTemporary) + random_suffix();
  CheckpointFile file(files, temporary);
  file.append(checkpoint_name(step) + "\n");
  file.sync();
  files.replace(temporary, path);
}

void prune_checkpoints(const std::string& directory, int64_t keep, const CheckpointFiles& files) {
  CHECK(keep >= 1, "keep ", keep, " checkpoints");
  auto found = list_checkpoints(directory);
  std::erase_if(found, [](const FoundCheckpoint& checkpoint) { return !has_manifest(checkpoint.path); });
  for (auto i = static_cast<int64_t>(found.size()) - 1; i >= keep; --i) {
    // Half-removed it must not look like a damaged checkpoint.
    const auto doomed = temporary_checkpoint_path(directory, found[static_cast<size_t>(i)].step);
    files.rename(found[static_cast<size_t>(i)].path, doomed);
    files.remove(doomed);
  }
}

std::string mark_bad_checkpoint(const std::string& path, const CheckpointFiles& files) {
  auto bad = path + ".bad";
  for (int number = 2; fs::exists(bad); ++number) bad = join_text(path, ".bad-", number);
  files.rename(path, bad);
  return bad;
}

}  // namespace granule
