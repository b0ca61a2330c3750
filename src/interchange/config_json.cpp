#include "interchange/config_json.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/check.h"

namespace granule {

namespace {

constexpr int64_t kMaxCount = int64_t{1} << 24;
constexpr double kMaxNumber = 1e30;

void refuse_unless_text(const JsonField& config, const char* key,
                        std::initializer_list<const char*> accepted) {
  const auto field = config.find(key);
  if (!field) return;
  const auto text = field->text();
  if (std::find(accepted.begin(), accepted.end(), text) != accepted.end()) return;
  field->refuse(
      join_text("is \"", text, "\", which Granule does not compute; it knows \"", *accepted.begin(), "\""));
}

void refuse_partial_rotation(const JsonField& config, double fallback) {
  const auto field = config.find("partial_rotary_factor");
  const double factor = field ? field->number(0, 1) : fallback;
  if (factor == 1) return;
  if (field) field->refuse(join_text("is ", factor, "; Granule rotates all of a head (1.0)"));
  config.refuse(join_text("has no partial_rotary_factor, which means ", factor,
                          "; Granule rotates all of a head (1.0)"));
}

// transformers 5 has "rope_parameters", those before "rope_theta" and "rope_scaling".
double read_rotary(const JsonField& config, const ConfigDefaults& defaults) {
  for (const auto* key : {"rope_parameters", "rope_scaling"}) {
    const auto rope = config.find(key);
    if (!rope) continue;
    refuse_unless_text(*rope, "rope_type", {"default"});
    refuse_unless_text(*rope, "type", {"default"});
  }
  const auto rope = config.find(config.find("rope_parameters") ? "rope_parameters" : "rope_scaling");
  const bool inside = rope && rope->find("partial_rotary_factor");
  refuse_partial_rotation(inside ? *rope : config, defaults.partial_rotary_factor);
  if (rope && rope->find("rope_theta")) return (*rope)["rope_theta"].number(1, kMaxNumber);
  return config.find("rope_theta") ? config["rope_theta"].number(1, kMaxNumber) : defaults.rope_theta;
}

void refuse_other_attention(const JsonField& config) {
  if (const auto types = config.find("layer_types")) {
    for (const auto& type : types->items()) {
      if (type.text() != "full_attention") {
        type.refuse("is \"" + type.text() +
                    "\"; Granule's attention sees all tokens before (\"full_attention\")");
      }
    }
  }
  const auto window = config.find("sliding_window");
  if (!window || !config.boolean_or("use_sliding_window", true)) return;
  // A window as wide as the context hides nothing; 0 stands for none.
  const int64_t width = window->integer(0, std::numeric_limits<int64_t>::max());
  if (width > 0 && width < read_count(config, "max_position_embeddings")) {
    window->refuse(join_text("is ", width, "; Granule's attention has no window"));
  }
}

}  // namespace

int64_t read_count(const JsonField& config, const std::string& key, int64_t min) {
  return config[key].integer(min, kMaxCount);
}

int64_t read_count_or(const JsonField& config, const std::string& key, int64_t fallback, int64_t min) {
  const auto field = config.find(key);
  return field ? field->integer(min, kMaxCount) : fallback;
}

double read_number_or(const JsonField& config, const std::string& key, double fallback) {
  const auto field = config.find(key);
  return field ? field->number(0, kMaxNumber) : fallback;
}

ModelConfig read_common_config(const JsonField& config, const ConfigDefaults& defaults) {
  if (const auto quantized = config.find("quantization_config")) {
    quantized->refuse("says that weights are quantized; Granule reads fp32, fp16 and bf16");
  }
  refuse_unless_text(config, "hidden_act", {"silu", "swish"});
  refuse_other_attention(config);
  ModelConfig model;
  model.vocab_size = read_count(config, "vocab_size", 2);
  model.hidden_size = read_count(config, "hidden_size", 2);
  model.num_hidden_layers = config["num_hidden_layers"].integer(1, 1024);
  model.num_attention_heads = config["num_attention_heads"].integer(1, 1024);
  model.num_key_value_heads = read_count_or(config, "num_key_value_heads", model.num_attention_heads, 1);
  model.head_dim = read_count_or(config, "head_dim", 0, 1);
  if (model.head_dim * model.num_attention_heads == model.hidden_size) model.head_dim = 0;
  model.intermediate_size = read_count(config, "intermediate_size");
  model.rms_norm_eps = config["rms_norm_eps"].number(0, 1);
  model.rope_theta = read_rotary(config, defaults);
  model.tie_word_embeddings = config.boolean_or("tie_word_embeddings", false);
  model.initializer_range = read_number_or(config, "initializer_range", model.initializer_range);
  return model;
}

void write_common_config(const ModelConfig& config, nlohmann::ordered_json& json) {
  json["vocab_size"] = config.vocab_size;
  json["hidden_size"] = config.hidden_size;
  json["num_hidden_layers"] = config.num_hidden_layers;
  json["num_attention_heads"] = config.num_attention_heads;
  json["num_key_value_heads"] = config.num_key_value_heads_used();
  json["head_dim"] = config.head_dim_used();
  json["intermediate_size"] = config.intermediate_size;
  json["hidden_act"] = "silu";
  json["rms_norm_eps"] = config.rms_norm_eps;
  json["rope_theta"] = config.rope_theta;
  json["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", config.rope_theta}};
  json["tie_word_embeddings"] = config.tie_word_embeddings;
  json["initializer_range"] = config.initializer_range;
  json["attention_bias"] = false;
  json["attention_dropout"] = 0.0;
}

void set_sparse_layers(const std::vector<bool>& sparse, const JsonField& field, ModelConfig& config) {
  const auto first = std::find(sparse.begin(), sparse.end(), true) - sparse.begin();
  config.first_k_dense_replace = first;
  for (int64_t frequency = 1; frequency <= config.num_hidden_layers; ++frequency) {
    config.moe_layer_freq = frequency;
    bool same = true;
    for (size_t layer = 0; layer < sparse.size(); ++layer) {
      same = same && sparse[layer] == config.has_experts(static_cast<int64_t>(layer));
    }
    if (same) return;
  }
  field.refuse(
      "puts dense layers between others; Granule has the first k dense (first_k_dense_replace), and of the "
      "rest "
      "those whose id is no multiple of moe_layer_freq");
}

void refuse_norm_of_one(const JsonField& config, const ModelConfig& model) {
  if (model.router.norm_topk_prob && model.router.num_experts_per_tok == 1) {
    const auto field = config.find("norm_topk_prob");
    (field ? *field : config["num_experts_per_tok"])
        .refuse("gives the one expert of a token weight 1; Granule keeps its score as the weight");
  }
}

double router_aux_loss_coefficient(const ModelConfig& config) {
  const auto layers = static_cast<double>(config.num_routed_layers());
  return config.balance.moe_aux_loss_coeff * layers / static_cast<double>(config.router.num_experts_per_tok);
}

std::string odd_head_reason(const ModelConfig& config) {
  if (config.head_dim_used() * config.num_attention_heads == config.hidden_size) return "";
  return join_text("its heads are hidden_size / num_attention_heads wide, but model.head_dim = ",
                   config.head_dim);
}

std::string routing_reason(const ModelConfig& config, const std::string& scoring_func) {
  const auto& router = config.router;
  if (config.num_routed_layers() == 0) return "it has routed experts, the model has none";
  if (router.is_hash()) return "it has no hash router (model.moe_router_type)";
  if (router.moe_expert_capacity_factor > 0) {
    return join_text(
        "it drops no tokens, but model.moe_expert_capacity_factor = ", router.moe_expert_capacity_factor,
        " (with model.moe_expert_capacity_factor=0 behind the command you get the model without that)");
  }
  if (router.scoring_func != scoring_func) {
    return join_text("its scores are ", scoring_func, ", but model.scoring_func = ", router.scoring_func);
  }
  if (scoring_func == "sigmoid") return "";
  if (router.moe_router_enable_expert_bias)
    return "it has no selection bias (model.moe_router_enable_expert_bias)";
  if (router.is_grouped() && router.topk_group < router.n_group) {
    return join_text("it knows no groups of experts, but model.n_group = ", router.n_group);
  }
  if (router.routed_scaling_factor != 1) {
    return join_text("it has no factor on gates, but model.routed_scaling_factor = ",
                     router.routed_scaling_factor);
  }
  return "";
}

}  // namespace granule
