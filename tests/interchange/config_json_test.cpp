#include "interchange/config_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "interchange/architecture.h"
#include "tests/support/interchange_models.h"
#include "tests/support/token_files.h"

namespace granule {
namespace {

nlohmann::json config_of(const std::string& model_type) {
  const auto config = interchange_config(model_type);
  nlohmann::ordered_json json = {{"model_type", model_type}, {"max_position_embeddings", 64}};
  write_common_config(config, json);
  for (const auto& architecture : architectures()) {
    if (architecture.model_type == model_type) architecture.write_config(config, json);
  }
  return nlohmann::json::parse(json.dump());
}

ModelConfig read(const nlohmann::json& json) {
  const JsonField field("config.json", json);
  return architecture_of(field).read_config(field);
}

struct Refused {
  const char* model_type;
  const char* field;
  nlohmann::json value;
  const char* message;
};

TEST(ConfigJson, RefusesWhatGranuleDoesNotComputeByFieldAndValue) {
  const Refused cases[] = {
      {"llama", "hidden_act", "gelu", "hidden_act is \"gelu\""},
      {"llama", "rope_scaling", {{"type", "linear"}, {"factor", 2.0}}, "rope_scaling.type is \"linear\""},
      {"llama", "rope_parameters", {{"rope_type", "llama3"}, {"rope_theta", 5e5}}, "rope_type is \"llama3\""},
      {"llama", "quantization_config", {{"quant_method", "gptq"}}, "quantization_config says"},
      {"llama",
       "layer_types",
       {"full_attention", "sliding_attention"},
       "layer_types[1] is \"sliding_attention\""},
      {"llama", "hidden_size", "16", "hidden_size is \"16\""},
      {"llama", "num_hidden_layers", 0, "num_hidden_layers is 0"},
      {"llama", "rms_norm_eps", -1, "rms_norm_eps is -1"},
      {"llama", "vocab_size", nullptr, "has no \"vocab_size\""},
      {"mixtral", "sliding_window", 32, "sliding_window is 32"},
      {"mixtral", "num_experts_per_tok", 1, "num_experts_per_tok gives the one expert"},
      {"qwen2_moe", "shared_expert_intermediate_size", 17, "shared_expert_intermediate_size is 17"},
      {"qwen2_moe", "mlp_only_layers", {0, 4}, "mlp_only_layers puts dense layers between"},
      {"qwen2_moe", "mlp_only_layers", {7}, "mlp_only_layers[0] is 7"},
      {"glm4_moe", "use_qk_norm", true, "use_qk_norm is true"},
      {"glm4_moe",
       "rope_parameters",
       {{"rope_type", "default"}, {"rope_theta", 1e4}, {"partial_rotary_factor", 0.5}},
       "rope_parameters.partial_rotary_factor is 0.5"},
      {"deepseek", "scoring_func", "sigmoid", "scoring_func is \"sigmoid\""},
  };
  for (const auto& refused : cases) {
    auto json = config_of(refused.model_type);
    json[refused.field] = refused.value;
    const auto error = input_error_of([&] { read(json); });
    EXPECT_NE(error.find(refused.message), std::string::npos) << error << "\nlacks: " << refused.message;
    EXPECT_EQ(error.find("config.json: "), 0u) << error;
  }
}

TEST(ConfigJson, SilenceAboutPartialRotationIsHalfForGlm4Moe) {
  auto json = config_of("glm4_moe");
  json.erase("partial_rotary_factor");
  json["rope_parameters"].erase("partial_rotary_factor");
  EXPECT_NE(input_error_of([&] { read(json); }).find("partial_rotary_factor"), std::string::npos);
  json["partial_rotary_factor"] = 1.0;
  read(json);
}

TEST(ConfigJson, ReadsTheFieldsOfOlderTransformers) {
  auto json = config_of("llama");
  json.erase("rope_parameters");
  json.erase("num_key_value_heads");
  json["head_dim"] = nullptr;
  json["rope_theta"] = 123.0;
  const auto config = read(json);
  EXPECT_EQ(config.rope_theta, 123.0);
  EXPECT_EQ(config.num_key_value_heads_used(), config.num_attention_heads);
  EXPECT_EQ(config.head_dim_used(), config.hidden_size / config.num_attention_heads);
  json["rope_scaling"] = {{"rope_type", "default"}, {"rope_theta", 777.0}};
  EXPECT_EQ(read(json).rope_theta, 777.0);
  json["rope_parameters"] = {{"rope_type", "default"}};
  EXPECT_EQ(read(json).rope_theta, 123.0);
  json.erase("rope_parameters");
  json.erase("rope_scaling");
  json.erase("rope_theta");
  EXPECT_EQ(read(json).rope_theta, 10000.0);
  auto mixtral = config_of("mixtral");
  mixtral.erase("rope_parameters");
  mixtral.erase("rope_theta");
  EXPECT_EQ(read(mixtral).rope_theta, 1e6);
}

TEST(ConfigJson, TheBalanceCoefficientIsOnTransformersScale) {
  for (const auto* type : {"qwen2_moe", "mixtral"}) {
    auto config = interchange_config(type);
    config.balance.moe_aux_loss_coeff = 0.01;
    nlohmann::ordered_json json;
    for (const auto& architecture : architectures()) {
      if (architecture.model_type == type) architecture.write_config(config, json);
    }
    const auto layers = static_cast<double>(config.num_routed_layers());
    EXPECT_DOUBLE_EQ(json["router_aux_loss_coef"].get<double>(),
                     0.01 * layers / static_cast<double>(config.router.num_experts_per_tok));
  }
}

TEST(ConfigJson, WindowsThatHideNothingAreNone) {
  auto json = config_of("mixtral");
  json["sliding_window"] = 64;
  read(json);
  json["sliding_window"] = 8;
  json["use_sliding_window"] = false;
  read(json);
}

TEST(ConfigJson, FindsEveryPatternOfSparseLayers) {
  auto json = config_of("qwen2_moe");
  json["num_hidden_layers"] = 6;
  const auto sparse_layers = [&](std::vector<int64_t> dense, int64_t step) {
    json["mlp_only_layers"] = dense;
    json["decoder_sparse_step"] = step;
    const auto config = read(json);
    std::vector<int64_t> sparse;
    for (int64_t layer = 0; layer < 6; ++layer) {
      if (config.has_experts(layer)) sparse.push_back(layer);
    }
    return sparse;
  };
  using Layers = std::vector<int64_t>;
  EXPECT_EQ(sparse_layers({}, 1), Layers({0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(sparse_layers({0, 1}, 1), Layers({2, 3, 4, 5}));
  EXPECT_EQ(sparse_layers({0, 1, 3, 5}, 1), Layers({2, 4}));
  EXPECT_EQ(sparse_layers({}, 6), Layers({5}));
  EXPECT_EQ(sparse_layers({0, 1, 2, 3, 4, 5}, 1), Layers({}));
}

}  // namespace
}  // namespace granule
