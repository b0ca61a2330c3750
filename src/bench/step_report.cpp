#include "bench/step_report.h"

#include <cstdio>

#include "base/text.h"

namespace granule {

namespace {

struct Part {
  const char* name;
  double StepTimes::*seconds;
};
constexpr Part kParts[] = {{"forward", &StepTimes::forward},
                           {"backward", &StepTimes::backward},
                           {"reduce", &StepTimes::reduce},
                           {"update", &StepTimes::update}};

std::string format(const char* pattern, auto... values) {
  char line[256];
  std::snprintf(line, sizeof(line), pattern, values...);
  return line;
}

// Rate and share of the limit, for phases whose work is known.
nlohmann::ordered_json phase_json(const StepBenchmark& result, const std::string& name, double seconds) {
  nlohmann::ordered_json json{{"seconds", seconds}};
  const auto work = result.work.find(name);
  if (work == result.work.end() || seconds <= 0) return json;
  const auto& limits = result.limits;
  if (work->second.flops > 0) {
    const double rate = work->second.flops / seconds;
    json["gflops"] = rate / 1e9;
    json["share_of_limit"] = rate / limits.flops(result.bf16);
  } else {
    const double rate = work->second.bytes / seconds;
    json["gbytes"] = rate / 1e9;
    json["share_of_limit"] = rate / limits.copy_bytes;
  }
  return json;
}

}  // namespace

nlohmann::ordered_json step_report_json(const StepBenchmark& result) {
  const double seconds = result.median_seconds();
  const double tokens_per_second = static_cast<double>(result.tokens_per_step) / seconds;
  const auto& limits = result.limits;
  nlohmann::ordered_json json{{"parameters", result.num_parameters},
                              {"tokens_per_step", result.tokens_per_step},
                              {"step_seconds", seconds},
                              {"tokens_per_s", tokens_per_second},
                              {"model_gflops", tokens_per_second * result.flops_per_token / 1e9},
                              {"peak_rss_gib", result.peak_rss_bytes / (1 << 30)},
                              {"losses", result.losses},
                              {"limits",
                               {{"threads", limits.num_threads},
                                {"fp32_gflops", limits.fp32_flops / 1e9},
                                {"bf16_gflops", limits.bf16_flops / 1e9},
                                {"read_gbytes", limits.read_bytes / 1e9},
                                {"copy_gbytes", limits.copy_bytes / 1e9}}}};
  for (const auto& [name, part] : kParts) json["seconds"][name] = result.median_of(part);
  for (const auto& [name, spent] : result.median_phases())
    json["phases"][name] = phase_json(result, name, spent);
  return json;
}

std::string step_report_text(const StepBenchmark& result) {
  const auto json = step_report_json(result);
  const double step = result.median_seconds();
  const auto row = [&](const std::string& name, double seconds) {
    return format("  %-20s %9.1f ms %6.1f %%", name.c_str(), seconds * 1e3, 100 * seconds / step);
  };
  std::string text = short_count(result.num_parameters) + " parameters, " +
                     short_count(result.tokens_per_step) + " tokens a step\n";
  for (const auto& [name, part] : kParts) text += row(name, result.median_of(part)) + "\n";
  text += format("  %-20s %9.1f ms  (median)\n", "step", step * 1e3);
  const auto& limits = result.limits;
  text += format(
      "phases of this rank; %d threads can do %.0f GFLOP/s in fp32, %.0f in bf16, read %.1f and copy %.1f "
      "GB/s\n",
      limits.num_threads, limits.fp32_flops / 1e9, limits.bf16_flops / 1e9, limits.read_bytes / 1e9,
      limits.copy_bytes / 1e9);
  for (const auto& [name, phase] : json["phases"].items()) {
    text += row(name, phase["seconds"].get<double>());
    const char* unit = phase.contains("gflops") ? "gflops" : "gbytes";
    if (phase.contains(unit)) {
      text += format("  %7.1f %s  %5.1f %% of the limit", phase[unit].get<double>(),
                     phase.contains("gflops") ? "GFLOP/s" : "GB/s   ",
                     100 * phase["share_of_limit"].get<double>());
    }
    text += "\n";
  }
  return text + format("%.0f tokens/s, %.1f model GFLOP/s, peak resident %.2f GiB a rank\n",
                       json["tokens_per_s"].get<double>(), json["model_gflops"].get<double>(),
                       json["peak_rss_gib"].get<double>());
}

}  // namespace granule
