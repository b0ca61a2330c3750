#include "train/metrics_file.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/check.h"

namespace granule {

namespace {

// The step of a line; nothing for one that a crash cut short.
std::optional<int64_t> step_of(const nlohmann::json& line) {
  if (!line.is_object()) return std::nullopt;
  const auto step = line.find("step");
  return step != line.end() && step->is_number_integer() ? std::optional(step->get<int64_t>()) : std::nullopt;
}

/// `path`, its lines after `resume_step` gone.
const std::string& cut_after(const std::string& path, int64_t resume_step, bool& has_validation) {
  if (resume_step == 0) {
    // Checkpoints may only seem to be gone.
    std::error_code ignored;
    if (std::filesystem::file_size(path, ignored) > 0 && !ignored) rename_durably(path, path + ".old");
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
    const auto json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    const auto step = step_of(json);
    if (!step || *step > resume_step) continue;
    kept.append(line + "\n");
    has_validation = has_validation || (*step == resume_step && json.contains(metric::kValidationLoss));
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
    : file_(cut_after(path, resume_step, has_validation_), WriteFile::Mode::kAppend) {}

}  // namespace granule
