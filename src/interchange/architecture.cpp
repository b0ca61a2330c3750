#include "interchange/architecture.h"

#include <array>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/text.h"
#include "interchange/families.h"

namespace granule {

namespace {

// Of the model types that people may try, why they cannot be read.
std::string reason_for_absence(const std::string& model_type) {
  if (model_type == "olmoe" || model_type == "qwen3_moe" || model_type == "qwen3" || model_type == "dots1") {
    return ", which normalises queries and keys (q_norm, k_norm); Granule's attention does not";
  }
  if (model_type == "deepseek_v2" || model_type == "deepseek_v3") {
    return ", which has latent attention (MLA); Granule's attention projects keys and values directly";
  }
  return "";
}

std::vector<std::string> known_types() {
  std::vector<std::string> names;
  for (const auto& architecture : architectures()) names.emplace_back(architecture.model_type);
  return names;
}

}  // namespace

std::span<const Architecture> architectures() {
  static const std::array table = {llama_architecture(), qwen2_moe_architecture(), glm4_moe_architecture(),
                                   mixtral_architecture(), deepseek_architecture()};
  return table;
}

const Architecture& architecture_of(const JsonField& config) {
  const auto type = config["model_type"];
  for (const auto& architecture : architectures()) {
    if (type.text() == architecture.model_type) return architecture;
  }
  type.refuse(join_text("is \"", type.text(), "\"", reason_for_absence(type.text()),
                        "; known are: ", join(known_types(), ", ")));
}

const Architecture& choose_architecture(const std::string& model_type, const ModelConfig& config) {
  std::vector<std::string> able, reasons;
  std::string reason_against_wanted;
  for (const auto& architecture : architectures()) {
    const auto reason = architecture.reason_against(config);
    const bool named = model_type == architecture.model_type;
    if (reason.empty() && (named || model_type.empty())) return architecture;
    if (named) reason_against_wanted = reason;
    (reason.empty() ? able : reasons)
        .push_back(reason.empty() ? architecture.model_type
                                  : join_text(architecture.model_type, ": ", reason));
  }
  std::string refusal;
  if (!model_type.empty() && reason_against_wanted.empty()) {
    refusal = join_text("there is no architecture \"", model_type, "\"",
                        did_you_mean(model_type, known_types()), "; known are: ", join(known_types(), ", "));
  } else if (!able.empty()) {
    refusal = join_text(model_type, " cannot hold this model: ", reason_against_wanted, "; ",
                        join(able, ", "), " can");
  } else {
    refusal = join_text("no architecture can hold this model:\n  ", join(reasons, "\n  "));
  }
  throw UserError(ExitCode::kUsage, refusal);
}

}  // namespace granule
