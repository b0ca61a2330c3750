#include "train/metrics_file.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/check.h"

namespace granule {

namespace {

bool is_kept(const std::string& line, int64_t resume_step) {
  const auto json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return false;
  const auto step = json.find("step");
  return step != json.end() && step->is_number_integer() && step->get<int64_t>() <= resume_step;
}

/// `path`, its lines after `resume_step` gone.
const std::string& cut_after(const std::string& path, int64_t resume_step) {
  if (resume_step == 0) {
    write_text_file_durably(path, "");
    return path;
  }
  std::ifstream old_lines(path, std::ios::binary);
  if (!old_lines) {
    if (std::filesystem::exists(path)) throw InputError(path, "cannot be opened");
    return path;
  }
  const auto temporary = path + ".tmp";
  WriteFile kept(temporary);
  for (std::string line; std::getline(old_lines, line);) {
    if (is_kept(line, resume_step)) kept.append(line + "\n");
  }
  if (old_lines.bad()) throw InputError(path, "cannot be read");
  kept.sync();
  rename_durably(temporary, path);
  return path;
}

}  // namespace

std::string metrics_line(const MetricRecord& metrics) {
  nlohmann::ordered_json json;
  json["step"] = metrics.step;
  json["wall_time"] = metrics.wall_time;
  json["consumed-samples"] = metrics.consumed_samples;
  json["consumed-tokens"] = metrics.consumed_tokens;
  for (const auto& [name, value] : metrics.values) json[name] = value;
  for (const auto& [name, counts] : metrics.counts) json[name] = counts;
  return json.dump();
}

MetricsFile::MetricsFile(const std::string& path, int64_t resume_step)
    : file_(cut_after(path, resume_step), WriteFile::Mode::kAppend) {}

}  // namespace granule
