#include "data/data_config.h"

#include <cmath>
#include <filesystem>

#include "base/check.h"

namespace granule {

void DataConfig::check() const {
  chat.check();
  if (weights.empty()) return;
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

std::string DataConfig::tokenizer_path() const {
  if (!tokenizer.empty()) return tokenizer;
  if (train.empty() && valid.empty()) return "";
  const std::filesystem::path first = train.empty() ? valid.front() : train.front();
  return (first.parent_path() / "tokenizer.json").string();
}

}  // namespace granule
