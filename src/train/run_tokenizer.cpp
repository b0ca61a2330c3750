#include "train/run_tokenizer.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/check.h"
#include "base/file.h"
#include "data/json_lines.h"
#include "train/checkpoint_directory.h"
#include "train/run_directory.h"

namespace granule {

namespace {

// The one that a run has begun with; empty if it has not, or without any.
std::string own_tokenizer(const std::string& run_dir) {
  return has_begun(run_dir) ? existing_tokenizer(run_dir) : "";
}

// What a start that came to nothing kept of another tokenizer.
void remove_others(const std::vector<CarriedFile>& files, const std::string& run_dir) {
  for (const auto& name : tokenizer_names()) {
    const bool stays = std::ranges::any_of(files, [&](const auto& file) { return file.name == name; });
    if (!stays) std::filesystem::remove(run_dir + "/" + name);
  }
}

bool hold_the_same(const std::string& tokenizer, const std::string& other) {
  return read_text_file(tokenizer, kMaxTokenizerBytes) == read_text_file(other, kMaxTokenizerBytes);
}

// What ids mean; how text is cut into them may differ. Empty if the file is no tokenizer.json.
std::map<int64_t, std::string> vocabulary_of(const std::string& path) {
  std::map<int64_t, std::string> vocabulary;
  const auto json =
      nlohmann::json::parse(read_text_file(path, kMaxTokenizerBytes), nullptr, /*allow_exceptions=*/false);
  const auto add = [&](const nlohmann::json& token, const nlohmann::json& id) {
    if (token.is_string() && id.is_number_integer()) vocabulary[id.get<int64_t>()] = token.get<std::string>();
  };
  const auto part = [](const nlohmann::json& of, const char* name) {
    return of.is_object() && of.contains(name) ? of[name] : nlohmann::json();
  };
  const auto model_vocabulary = part(part(json, "model"), "vocab");
  if (model_vocabulary.is_object()) {
    for (const auto& [token, id] : model_vocabulary.items()) add(token, id);
  }
  for (const auto& token : part(json, "added_tokens")) add(part(token, "content"), part(token, "id"));
  return vocabulary;
}

std::string tokenizer_of_model(const std::string& path) {
  const auto own = existing_tokenizer(path);
  if (!own.empty()) return own;
  const auto checkpoints = find_checkpoints(path);
  return checkpoints.empty() ? "" : existing_tokenizer(checkpoints.front().path);
}

void check_named_tokenizer(const std::string& tokenizer, const std::string& run_dir) {
  const auto own = own_tokenizer(run_dir);
  if (own.empty() || !std::filesystem::exists(tokenizer) || hold_the_same(tokenizer, own)) return;
  throw ConfigError("data.tokenizer", tokenizer, "is another than ", own,
                    ", which the run has begun with; leave it out, or give another run_dir");
}

}  // namespace

std::string existing_tokenizer(const std::string& directory) {
  const auto path = tokenizer_path(directory);
  return std::filesystem::exists(path) ? path : "";
}

std::string tokenizer_of_run(const RunConfig& config) {
  if (!config.data.tokenizer.empty()) return config.data.tokenizer;
  auto tokenizer = own_tokenizer(config.run_dir);
  if (tokenizer.empty() && !config.checkpoint.load.empty())
    tokenizer = tokenizer_of_model(config.checkpoint.load);
  return tokenizer.empty() ? config.data.tokenizer_path() : tokenizer;
}

DataConfig data_of_run(const RunConfig& config) {
  auto data = config.data;
  data.tokenizer = tokenizer_of_run(config);
  return data;
}

void check_vocabularies(const std::vector<std::string>& files, const std::string& tokenizer) {
  if (tokenizer.empty() || !std::filesystem::exists(tokenizer)) return;
  std::set<std::string> seen{tokenizer};
  std::map<int64_t, std::string> known;
  for (const auto& file : files) {
    const auto own = tokenizer_beside(file);
    if (is_json_lines_file(file) || !std::filesystem::exists(own) || !seen.insert(own).second) continue;
    if (hold_the_same(own, tokenizer)) continue;
    if (known.empty()) known = vocabulary_of(tokenizer);
    if (known.empty()) return;
    for (const auto& [id, token] : vocabulary_of(own)) {
      const auto found = known.find(id);
      if (found != known.end() && found->second == token) continue;
      throw InputError(
          file, "holds ids of ", own, ", where ", id, " is \"", token, "\", but in ", tokenizer, " it is ",
          found == known.end() ? "nothing" : "\"" + found->second + "\"",
          "; encode its text with that one, or name with data.tokenizer the one that all ids are of");
    }
  }
}

void check_tokenizer_of_run(const RunConfig& config) {
  if (!config.data.tokenizer.empty()) return check_named_tokenizer(config.data.tokenizer, config.run_dir);
  auto files = config.data.train;
  files.insert(files.end(), config.data.valid.begin(), config.data.valid.end());
  check_vocabularies(files, tokenizer_of_run(config));
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
