#pragma once
// The directory that holds a run's checkpoints: step-0001000/ is one, complete; step-0001000.tmp-*/ is being
// written or removed; step-0001000.bad/ was found damaged. `latest` names the newest, for people and scripts;
// to load, the directories themselves are looked at. Nothing else in it is ever touched.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "train/checkpoint_files.h"

namespace granule {

/// File names inside a checkpoint.
inline constexpr char kManifestName[] = "manifest.json";
inline constexpr char kConfigName[] = "config.yaml";
inline constexpr char kTokenizerName[] = "tokenizer.json";
inline constexpr char kGenerationConfig[] = "generation_config.json";
inline constexpr char kChatTemplate[] = "chat_template.jinja";
/// What lies beside a tokenizer.json, in Hugging Face's names, and is carried along unread: a model's chat
/// template and what transformers needs to use its tokenizer.
inline constexpr std::array kTokenizerSideFiles = {
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", kChatTemplate,
    kGenerationConfig,       "vocab.json",              "merges.txt",        "tokenizer.model"};
inline constexpr uint64_t kMaxTokenizerBytes = uint64_t{1} << 30;
std::string shard_file_name(int rank);

struct CarriedFile {
  std::string path;
  std::string name;  ///< in a run or a checkpoint
};

/// kTokenizerName and kTokenizerSideFiles.
std::vector<std::string> tokenizer_names();
/// What there is of `tokenizer`, a tokenizer.json under any name, and kTokenizerSideFiles beside it.
std::vector<CarriedFile> tokenizer_files(const std::string& tokenizer);

/// step-0001000
std::string checkpoint_name(int64_t step);

struct FoundCheckpoint {
  int64_t step;
  std::string path;
};

/// The complete checkpoints in `directory`, newest first; none if there is no such directory.
std::vector<FoundCheckpoint> list_checkpoints(const std::string& directory);

/// What `path` names: itself if it is a checkpoint, else those of the directory or of the run directory it
/// is, newest first.
std::vector<FoundCheckpoint> find_checkpoints(const std::string& path);

/// Makes the directory if missing, durably.
void make_checkpoint_directory(const std::string& directory, const CheckpointFiles& files);

/// A name for the directory in which the checkpoint of `step` is made, never used before.
std::string temporary_checkpoint_path(const std::string& directory, int64_t step);

/// Removes what a killed process left half-written or half-removed.
void remove_stale_checkpoints(const std::string& directory, const CheckpointFiles& files);

/// Points `latest` to the checkpoint of `step`.
void write_latest(const std::string& directory, int64_t step, const CheckpointFiles& files);

/// Removes all but the newest `keep` >= 1 checkpoints, oldest first. Directories without a manifest are not
/// ours and stay.
void prune_checkpoints(const std::string& directory, int64_t keep, const CheckpointFiles& files);

/// step-N becomes step-N.bad (or .bad-2 ...): it is not looked at again, nor removed. Returns the new path.
std::string mark_bad_checkpoint(const std::string& path, const CheckpointFiles& files);

}  // namespace granule
