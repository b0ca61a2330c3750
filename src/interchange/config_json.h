#pragma once
// What all architectures say alike in config.json. Fields of other versions of transformers are read too;
// whatever would make a model compute something else than Granule does is refused with field and value.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/strict_json.h"
#include "model/model_config.h"

namespace granule {

/// What a field that is not there means.
struct ConfigDefaults {
  double rope_theta = 10000.0;
  double partial_rotary_factor = 1.0;
};

/// Shape, attention, norm and rotary positions. Throws InputError.
ModelConfig read_common_config(const JsonField& config, const ConfigDefaults& defaults = {});

/// The same, written; vocabulary and context too.
void write_common_config(const ModelConfig& config, nlohmann::ordered_json& json);

/// A count of at least `min` that must be there, or `fallback` for one that need not.
int64_t read_count(const JsonField& config, const std::string& key, int64_t min = 1);
int64_t read_count_or(const JsonField& config, const std::string& key, int64_t fallback, int64_t min = 0);
double read_number_or(const JsonField& config, const std::string& key, double fallback);

/// Makes the layers that have experts those in `sparse`; `field` is what to name if no config can say that.
void set_sparse_layers(const std::vector<bool>& sparse, const JsonField& field, ModelConfig& config);

/// Refuses `norm_topk_prob` with one expert a token: transformers then weighs it 1, Granule divides nothing.
void refuse_norm_of_one(const JsonField& config, const ModelConfig& model);

/// A flag in our own config.json: the shared experts that the architecture must have are zeros and none.
inline constexpr char kZeroSharedExperts[] = "granule_zero_shared_experts";

/// Of transformers' balance loss, which is K where all is even, whatever the number of layers; ours is 1 in
/// each.
double router_aux_loss_coefficient(const ModelConfig& config);

// Reasons against an architecture, each empty if it does not hold.

/// Attention whose heads are not hidden_size / num_attention_heads wide.
std::string odd_head_reason(const ModelConfig& config);
/// No routed experts, or a router that is no learned one with these scores; dropped tokens; for softmax,
/// which nobody combines with them, also selection bias, groups and a factor on gates.
std::string routing_reason(const ModelConfig& config, const std::string& scoring_func);

}  // namespace granule
