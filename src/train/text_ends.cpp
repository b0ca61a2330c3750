#include "train/text_ends.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/strict_json.h"
#include "interchange/hugging_face_directory.h"
#include "train/checkpoint_directory.h"

namespace granule {

namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxConfigBytes = uint64_t{1} << 24;

// A number or a list of them.
std::vector<int64_t> read_ids(const JsonField& config, const char* key) {
  constexpr int64_t kMaxId = int64_t{1} << 24;
  const auto field = config.find(key);
  if (!field) return {};
  if (!field->value().is_array()) return {field->integer(0, kMaxId)};
  std::vector<int64_t> ids;
  for (const auto& item : field->items()) ids.push_back(item.integer(0, kMaxId));
  return ids;
}

TextEnds read_text_ends(const std::string& path) {
  const auto document = read_strict_json(path, kMaxConfigBytes);
  const JsonField config(path, document);
  const auto begin = read_ids(config, "bos_token_id");
  return {begin.empty() ? std::nullopt : std::optional(begin.front()), read_ids(config, "eos_token_id")};
}

void add(const std::vector<int64_t>& ids, std::vector<int64_t>& all) {
  for (const auto id : ids) {
    if (std::ranges::find(all, id) == all.end()) all.push_back(id);
  }
}

}  // namespace

TextEnds recorded_text_ends(const std::string& directory) {
  for (const auto* name : {kGenerationConfig, kConfigJson}) {
    const auto path = directory + "/" + name;
    if (!fs::exists(path)) continue;
    const auto ends = read_text_ends(path);
    if (!ends.end.empty()) return ends;
  }
  return {};
}

TextEnds text_ends_of(const std::string& directory, const Tokenizer& tokenizer, const ChatTemplate* chat) {
  const auto recorded = recorded_text_ends(directory);
  TextEnds ends{recorded.begin, {}};
  if (chat != nullptr) add(chat->stop_ids(), ends.end);
  add(recorded.end, ends.end);
  if (ends.end.empty()) add(tokenizer.stop_ids(), ends.end);
  const auto& prefix = tokenizer.text_prefix();
  if (!ends.begin && recorded.end.empty() && prefix.size() == 1) ends.begin = prefix.front();
  return ends;
}

void write_text_ends(const std::string& directory, const TextEnds& ends) {
  const auto path = directory + "/" + kGenerationConfig;
  nlohmann::ordered_json json = {{"_from_model_config", true}};
  if (fs::exists(path)) {
    const auto recorded = read_text_ends(path);
    if (recorded.begin == ends.begin && recorded.end == ends.end) return;
    json = nlohmann::ordered_json::parse(read_text_file(path, kMaxConfigBytes));
  }
  if (ends.begin) json["bos_token_id"] = *ends.begin;
  if (ends.end.size() == 1) json["eos_token_id"] = ends.end.front();
  if (ends.end.size() > 1) json["eos_token_id"] = ends.end;
  write_text_file_durably(path, json.dump(2) + "\n");
}

}  // namespace granule
