#include "train/run_directory.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "base/check.h"
#include "base/file.h"
#include "data/data_config.h"
#include "data/json_lines.h"
#include "interchange/hugging_face_directory.h"
#include "train/checkpoint_directory.h"

namespace granule {

namespace {

// The one that a run has begun with; empty if it has not, or without any.
std::string own_tokenizer(const std::string& run_dir) {
  return has_begun(run_dir) ? existing_tokenizer(run_dir) : "";
}

// What a start that came to nothing kept of another tokenizer.
void remove_others(const std::vector<CarriedFile>& files, const std::string& run_dir) {
  std::vector<std::string> names(kTokenizerSideFiles.begin(), kTokenizerSideFiles.end());
  names.emplace_back(kTokenizerName);
  for (const auto& name : names) {
    const bool stays = std::ranges::any_of(files, [&](const auto& file) { return file.name == name; });
    if (!stays) std::filesystem::remove(run_dir + "/" + name);
  }
}

// What ids mean; how text is cut into them may differ.
nlohmann::json vocabulary_of(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("model") || !json["model"].is_object()) return text;
  nlohmann::json added;
  for (const auto& token : json.value("added_tokens", nlohmann::json::array())) {
    if (token.is_object()) added[token.value("content", "")] = token.value("id", -1);
  }
  return {json["model"].value("vocab", nlohmann::json()), added};
}

bool is_same_vocabulary(const std::string& left, const std::string& right) {
  const auto ours = read_text_file(left, kMaxTokenizerBytes), theirs = read_text_file(right, kMaxTokenizerBytes);
  return ours == theirs || vocabulary_of(ours) == vocabulary_of(theirs);
}

}  // namespace

RunDirectory::RunDirectory(const std::string& path) {
  if (is_hugging_face_directory(path)) {
    throw InputError(path, "is a model of Hugging Face (", kConfigJson, "), which would hide the run's checkpoints; ",
                     "give the run a directory of its own");
  }
  make_directories(path);
  lock_.emplace(path + "/lock",
                InputError(path, "another run is writing here; give this one another run_dir"));
}

std::string absolute_path(const std::string& path) {
  auto absolute = std::filesystem::absolute(path).lexically_normal().string();
  while (absolute.size() > 1 && absolute.ends_with('/')) absolute.pop_back();
  return absolute;
}

std::string config_path(const std::string& run_dir) { return run_dir + "/config.yaml"; }
std::string checkpoints_path(const std::string& run_dir) { return run_dir + "/checkpoints"; }
std::string tokenizer_path(const std::string& run_dir) { return run_dir + "/" + kTokenizerName; }

bool has_begun(const std::string& run_dir) {
  return !list_checkpoints(checkpoints_path(run_dir)).empty();
}

std::string existing_tokenizer(const std::string& directory) {
  const auto path = tokenizer_path(directory);
  return std::filesystem::exists(path) ? path : "";
}

std::string tokenizer_of_model(const std::string& path) {
  const auto own = existing_tokenizer(path);
  if (!own.empty()) return own;
  const auto checkpoints = find_checkpoints(path);
  return checkpoints.empty() ? "" : existing_tokenizer(checkpoints.front().path);
}

void check_same_tokenizer(const std::string& tokenizer, const std::string& run_dir) {
  const auto own = own_tokenizer(run_dir);
  if (own.empty() || !std::filesystem::exists(tokenizer)) return;
  if (read_text_file(tokenizer, kMaxTokenizerBytes) == read_text_file(own, kMaxTokenizerBytes)) return;
  throw ConfigError("data.tokenizer", tokenizer, "is another than ", own,
                    ", which the run has begun with; set it to that one, or give another run_dir");
}

void check_vocabularies(const std::vector<std::string>& files, const std::string& tokenizer) {
  if (tokenizer.empty() || !std::filesystem::exists(tokenizer)) return;
  std::set<std::string> same{tokenizer};
  for (const auto& file : files) {
    const auto own = tokenizer_beside(file);
    if (is_json_lines_file(file) || !std::filesystem::exists(own) || same.contains(own)) continue;
    if (!is_same_vocabulary(own, tokenizer)) {
      throw InputError(file, "holds ids of ", own, ", which is another vocabulary than ", tokenizer,
                       "; encode its text with that one, or name with data.tokenizer the one that all ids are of");
    }
    same.insert(own);
  }
}

void keep_tokenizer(const std::string& tokenizer, const std::string& run_dir) {
  if (tokenizer.empty() || !own_tokenizer(run_dir).empty()) return;
  const auto files = tokenizer_files(tokenizer);
  if (!has_begun(run_dir)) remove_others(files, run_dir);
  for (const auto& [path, name] : files) {
    write_text_file_durably(run_dir + "/" + name, read_text_file(path, kMaxTokenizerBytes));
  }
}

}  // namespace granule
