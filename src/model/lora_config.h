#pragma once
// Low-rank adapters (arXiv 2106.09685): section `lora`.

#include <cstdint>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/text.h"

namespace granule {

/// Matrices that may have an adapter, by Hugging Face's names.
inline const std::vector<std::string> kLoraTargets = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                                      "gate_proj", "up_proj", "down_proj"};

struct LoraConfig {
  int64_t rank = 0;
  double alpha = 32;
  double dropout = 0;
  std::vector<std::string> target_modules = kLoraTargets;

  void visit(auto&& field) {
    field("rank", rank, {.min = 0, .max = 1 << 16},
          "r, inner width of the adapters; 0: none, all parameters are trained");
    field("alpha", alpha, {.min = 0}, "what an adapter computes is multiplied by alpha / rank");
    field("dropout", dropout, {.min = 0, .max = 1},
          "share of an adapter's inputs that training sets to zero; below 1");
    field("target_modules", target_modules, {.choices = kLoraTargets},
          "matrices that get an adapter, in every layer; gate, up and down are those of dense layers, shared "
          "experts and routed experts alike");
  }

  /// Throws ConfigError.
  void check() const {
    if (dropout >= 1) throw ConfigError("lora.dropout", dropout, "must be below 1");
    if (is_on() && target_modules.empty()) {
      throw ConfigError("lora.target_modules", "[]", "must name at least one of ", join(kLoraTargets, ", "));
    }
  }

  /// What adapters were made with, as the config at `place` says, decides what they compute; which matrices have some,
  /// loading finds out. Throws ConfigError.
  void check_same(const LoraConfig& before, const std::string& place) const {
    if (rank != before.rank) throw ConfigError("lora.rank", rank, "differs from ", place, ", which makes it ", before.rank);
    if (alpha != before.alpha) {
      throw ConfigError("lora.alpha", alpha, "differs from ", place, ", which makes it ", before.alpha);
    }
  }

  bool is_on() const { return rank > 0; }
  double scale() const { return alpha / static_cast<double>(rank); }
};

}  // namespace granule
