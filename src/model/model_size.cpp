#include "model/model_size.h"

#include <string_view>

#include "model/hash_table.h"
#include "model/initialize.h"
#include "model/lora.h"
#include "model/selection_bias.h"

namespace granule {

namespace {

// The count that a parameter belongs to, by its name.
int64_t& part_of(ModelSize& size, std::string_view name) {
  const auto has = [&](std::string_view word) { return name.find(word) != std::string_view::npos; };
  if (is_adapter(name)) return is_routed(name) ? size.routed_adapters : size.adapters;
  if (has("embed_tokens")) return size.embedding;
  if (has("lm_head")) return size.head;
  if (has("norm.weight")) return size.norm;
  if (has(".self_attn.")) return size.attention;
  if (has(".shared_experts.")) return size.shared;
  if (is_routed(name)) return size.routed;
  if (has(".mlp.gate.")) return size.router;
  return size.dense;
}

}  // namespace

ModelSize measure_size(const Transformer& model) {
  ModelSize size;
  const auto& router = model.config().router;
  for (const auto& parameter : model.placed_parameters()) {
    const auto& name = parameter.pieces.front().name;
    if (name.ends_with(kSelectionBias) || name.ends_with(kHashTable)) continue;  // no parameters
    const auto elements = parameter.tensor.numel();
    auto& part = part_of(size, name);
    if (parameter.placement == Placement::kExpert) {
      const int64_t one_expert = elements / parameter.tensor.size(0);
      part += one_expert * router.n_routed_experts;
      auto& activated = is_adapter(name) ? size.adapters_activated : size.routed_activated;
      activated += one_expert * router.num_experts_per_tok;
    } else {
      part += elements;
      if (is_adapter(name)) size.adapters_activated += elements;
    }
  }
  return size;
}

double training_flops_per_token(const ModelConfig& config, const ModelSize& size, int64_t seq_length) {
  const int64_t matrices =
      size.logits_matrix() + size.attention + size.dense + size.shared + size.router + size.routed_activated;
  const double attention = static_cast<double>(config.num_hidden_layers * config.num_attention_heads *
                                               config.head_dim_used() * seq_length);
  if (!size.is_adapted()) return 6.0 * static_cast<double>(matrices) + 6.0 * attention;
  return 4.0 * static_cast<double>(matrices) + 6.0 * (static_cast<double>(size.adapters_activated) + attention);
}

}  // namespace granule
