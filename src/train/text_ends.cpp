#include "train/text_ends.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "interchange/hugging_face_directory.h"
#include "train/checkpoint_directory.h"

namespace granule {

namespace {

namespace fs = std::filesystem;

using Json = nlohmann::ordered_json;

constexpr uint64_t kMaxConfigBytes = uint64_t{1} << 24;
constexpr int64_t kMaxId = int64_t{1} << 24;

// A number or a list of them. What is no id says nothing: these files are others', and most of them is not
// read.
std::vector<int64_t> read_ids(const Json& config, const char* key) {
  const auto found = config.find(key);
  if (found == config.end()) return {};
  std::vector<int64_t> ids;
  for (const auto& id : found->is_array() ? *found : Json::array({*found})) {
    if (id.is_number_unsigned() && id < kMaxId) ids.push_back(id.get<int64_t>());
  }
  return ids;
}

// Null for what is no JSON.
Json read_json(const std::string& path) {
  return Json::parse(read_text_file(path, kMaxConfigBytes), nullptr, /*allow_exceptions=*/false);
}

TextEnds text_ends_in(const Json& config) {
  if (!config.is_object()) return {};
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
  TextEnds recorded;
  for (const auto* name : {kGenerationConfig, kConfigJson}) {
    const auto path = directory + "/" + name;
    if (!fs::exists(path)) continue;
    const auto ends = text_ends_in(read_json(path));
    if (recorded.end.empty()) recorded.end = ends.end;
    if (!recorded.begin) recorded.begin = ends.begin;
  }
  return recorded;
}

std::optional<ChatTemplate> learned_template(const DataConfig& data, Tokenizer& tokenizer) {
  if (!data.trains_on_chats()) return std::nullopt;
  return std::optional<ChatTemplate>(std::in_place, data.chat, tokenizer);
}

TextEnds text_ends_of(const std::string& directory, const Tokenizer& tokenizer,
                      const std::optional<ChatTemplate>& chat) {
  const auto recorded = recorded_text_ends(directory);
  TextEnds ends{recorded.begin, {}};
  if (chat) add(chat->stop_ids(), ends.end);
  add(recorded.end, ends.end);
  if (ends.end.empty()) add(tokenizer.stop_ids(), ends.end);
  const auto& prefix = tokenizer.text_prefix();
  if (!ends.begin && recorded.end.empty() && prefix.size() == 1) ends.begin = prefix.front();
  return ends;
}

void write_text_ends(const std::string& directory, const TextEnds& ends) {
  const auto path = directory + "/" + kGenerationConfig;
  Json json = {{"_from_model_config", true}};
  if (fs::exists(path)) {
    auto read = read_json(path);
    const auto recorded = text_ends_in(read);
    if (recorded.begin == ends.begin && recorded.end == ends.end) return;
    if (read.is_object()) json = std::move(read);
  }
  if (ends.begin) json["bos_token_id"] = *ends.begin;
  if (ends.end.size() == 1) json["eos_token_id"] = ends.end.front();
  if (ends.end.size() > 1) json["eos_token_id"] = ends.end;
  write_text_file_durably(path, json.dump(2) + "\n");
}

}  // namespace granule
