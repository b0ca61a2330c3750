#include "data/data_config.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/check.h"
#include "base/text.h"
#include "data/json_lines.h"

namespace granule {

namespace {

// Throws ConfigError if there are files of both kinds.
bool are_chats(const char* key, const std::vector<std::string>& files) {
  const auto num_chats = static_cast<size_t>(std::count_if(files.begin(), files.end(), is_json_lines_file));
  if (num_chats > 0 && num_chats < files.size()) {
    throw ConfigError(key, join(files, ", "), "mixes conversations (.jsonl) and token files");
  }
  return num_chats > 0;
}

}  // namespace

bool DataConfig::trains_on_chats() const {
  return are_chats("data.train", train);
}

bool DataConfig::validates_on_chats() const {
  return are_chats("data.valid", valid);
}

void DataConfig::check() const {
  chat.check();
  validates_on_chats();
  const bool chats = trains_on_chats();
  if (weights.empty()) return;
  if (chats) {
    throw ConfigError("data.weights", join_text("[", weights.size(), " numbers]"),
                      "is for token files: every conversation is read once an epoch");
  }
  if (weights.size() != train.size()) {
    throw ConfigError("data.weights", join_text("[", weights.size(), " numbers]"),
                      "must have one number for each of the ", train.size(), " files of data.train");
  }
  for (const auto weight : weights) {
    if (!(weight > 0) || !std::isfinite(weight)) {
      throw ConfigError("data.weights", weight, "must be above 0; leave the file out of data.train instead");
    }
  }
}

void DataConfig::check_tokenizer() const {
  if (tokenizer.empty() || std::filesystem::exists(tokenizer)) return;
  throw ConfigError("data.tokenizer", tokenizer, "is not there; leave it out or name a tokenizer.json");
}

std::string DataConfig::tokenizer_path() const {
  if (!tokenizer.empty()) return tokenizer;
  if (train.empty() && valid.empty()) return "";
  return tokenizer_beside(train.empty() ? valid.front() : train.front());
}

std::string tokenizer_beside(const std::string& file) {
  return (std::filesystem::path(file).parent_path() / "tokenizer.json").string();
}

}  // namespace granule
