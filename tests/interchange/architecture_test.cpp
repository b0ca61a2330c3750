#include "interchange/architecture.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "base/config.h"
#include "interchange/config_json.h"
#include "tests/support/interchange_models.h"
#include "tests/support/small_model.h"
#include "tests/support/token_files.h"

namespace granule {
namespace {

using Json = nlohmann::ordered_json;

const Architecture& named(const std::string& model_type) {
  return architecture_of(JsonField("config.json", nlohmann::json{{"model_type", model_type}}));
}

nlohmann::json written(const Architecture& architecture, const ModelConfig& config) {
  Json json = {{"model_type", architecture.model_type}, {"max_position_embeddings", 64}};
  write_common_config(config, json);
  architecture.write_config(config, json);
  return nlohmann::json::parse(json.dump());
}

ModelConfig read_back(const Architecture& architecture, const ModelConfig& config) {
  const auto json = written(architecture, config);
  return architecture.read_config(JsonField("config.json", json));
}

std::string refusal(const std::string& model_type, const ModelConfig& config) {
  try {
    choose_architecture(model_type, config);
  } catch (const UserError& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    return error.what();
  }
  return "";
}

TEST(Architecture, ConfigJsonSaysAllThatTheConfigSays) {
  for (const auto& architecture : architectures()) {
    const auto config = interchange_config(architecture.model_type);
    EXPECT_EQ(architecture.reason_against(config), "") << architecture.model_type;
    EXPECT_EQ(print_config(read_back(architecture, config)), print_config(config)) << architecture.model_type;
  }
}

TEST(Architecture, DefaultIsTheFirstThatCanHoldTheModel) {
  for (const auto* type : {"llama", "qwen2_moe", "glm4_moe"}) {
    EXPECT_STREQ(choose_architecture("", interchange_config(type)).model_type, type);
  }
}

TEST(Architecture, NamesReasonAndAlternativeIfItCannotHoldTheModel) {
  const auto softmax = interchange_config("qwen2_moe");
  const auto with = [&](const auto& change) {
    auto config = softmax;
    change(config);
    return config;
  };
  const auto expect = [](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << text << "\nlacks: " << part;
  };
  expect(refusal("glm4_moe", softmax), "model.scoring_func = softmax; qwen2_moe, deepseek can");
  expect(refusal("mixtral", softmax), "model.norm_topk_prob = false");
  expect(refusal("llama", softmax), "model.n_routed_experts = 8");
  expect(refusal("qwen2_moe", interchange_config("llama")), "the model has none; llama can");
  expect(refusal("qwen2_moe", interchange_config("glm4_moe")), "model.scoring_func = sigmoid; glm4_moe can");
  expect(refusal("qwen2", softmax), "did you mean \"qwen2_moe\"");
  expect(refusal("", with([](auto& c) { c.router.moe_expert_capacity_factor = 1; })),
         "model.moe_expert_capacity_factor=0 behind the command");
  expect(refusal("", with([](auto& c) { c.router.moe_router_enable_expert_bias = true; })), "selection bias");
  expect(refusal("", with([](auto& c) { c.router.routed_scaling_factor = 2; })), "routed_scaling_factor = 2");
  expect(refusal("", with([](auto& c) { c.head_dim = 6; })), "model.head_dim = 6");
  expect(refusal("", with([](auto& c) { c.router = {.moe_router_type = "hash", .n_routed_experts = 8}; })),
         "hash");
  auto sigmoid = interchange_config("glm4_moe");
  sigmoid.num_hidden_layers = 5;
  sigmoid.moe_layer_freq = 2;
  expect(refusal("glm4_moe", sigmoid), "model.moe_layer_freq = 2");
}

TEST(Architecture, AllWidthsAlikeAreADenseModelAlsoIfExpertsAreAllShared) {
  auto config = interchange_config("llama");
  config.n_shared_experts = 3;
  config.moe_intermediate_size = 8;
  config.first_k_dense_replace = 1;
  config.intermediate_size = 24;
  const auto& llama = choose_architecture("", config);
  EXPECT_STREQ(llama.model_type, "llama");
  for (const auto& tensor : llama.store(config)) {
    EXPECT_EQ(tensor.name.find("shared"), std::string::npos) << tensor.name;
  }
  config.intermediate_size = 25;
  EXPECT_NE(refusal("llama", config), "");
}

TEST(Architecture, NormOfOneGateIsWrittenAsNone) {
  for (const auto* type : {"qwen2_moe", "glm4_moe"}) {
    auto config = interchange_config(type);
    config.router.num_experts_per_tok = 1;
    config.router.norm_topk_prob = true;
    EXPECT_FALSE(read_back(named(type), config).router.norm_topk_prob) << type;
  }
  auto config = interchange_config("mixtral");
  config.router.num_experts_per_tok = 1;
  EXPECT_NE(refusal("mixtral", config), "");
}

TEST(Architecture, KnowsWhyOthersCannotBeRead) {
  const auto error = [](const std::string& type) { return input_error_of([&] { named(type); }); };
  EXPECT_NE(error("olmoe").find("q_norm"), std::string::npos);
  EXPECT_NE(error("deepseek_v3").find("MLA"), std::string::npos);
  EXPECT_NE(error("bert").find("known are: llama, qwen2_moe, glm4_moe, mixtral, deepseek"),
            std::string::npos);
}

TEST(Architecture, StoresDeepSeekMoE16BAsItIsPublished) {
  auto config = published_16b_config();
  const auto tensors = named("deepseek").store(config);
  EXPECT_EQ(tensors.size(), 5466u);
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const auto& tensor : tensors) shapes[tensor.name] = tensor.shape;
  using Shape = std::vector<int64_t>;
  EXPECT_EQ(shapes.at("lm_head.weight"), Shape({102400, 2048}));
  EXPECT_EQ(shapes.at("model.layers.0.mlp.down_proj.weight"), Shape({2048, 10944}));
  EXPECT_EQ(shapes.at("model.layers.27.mlp.gate.weight"), Shape({64, 2048}));
  EXPECT_EQ(shapes.at("model.layers.27.mlp.experts.63.up_proj.weight"), Shape({1408, 2048}));
  EXPECT_EQ(shapes.at("model.layers.1.mlp.shared_experts.gate_proj.weight"), Shape({2816, 2048}));
  EXPECT_EQ(shapes.at("model.layers.1.mlp.shared_experts.down_proj.weight"), Shape({2048, 2816}));

  const auto public_config = nlohmann::json::parse(R"({
    "architectures": ["DeepseekForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
    "bos_token_id": 100000, "eos_token_id": 100001, "first_k_dense_replace": 1, "hidden_act": "silu",
    "hidden_size": 2048, "initializer_range": 0.02, "intermediate_size": 10944, "max_position_embeddings": 4096,
    "model_type": "deepseek", "moe_intermediate_size": 1408, "moe_layer_freq": 1, "n_routed_experts": 64,
    "n_shared_experts": 2, "norm_topk_prob": false, "num_attention_heads": 16, "num_experts_per_tok": 6,
    "num_hidden_layers": 28, "num_key_value_heads": 16, "pretraining_tp": 1, "rms_norm_eps": 1e-06,
    "rope_scaling": null, "rope_theta": 10000, "scoring_func": "softmax", "tie_word_embeddings": false,
    "torch_dtype": "bfloat16", "use_cache": true, "vocab_size": 102400})");
  const auto read = named("deepseek").read_config(JsonField("config.json", public_config));
  config.num_key_value_heads = 16;
  config.initializer_range = 0.02;
  config.balance.moe_aux_loss_coeff = 0.001;
  EXPECT_EQ(print_config(read), print_config(config));
}

TEST(Architecture, GateTrickHalvesWhatIsStoredTwiceAsLarge) {
  const auto config = interchange_config("qwen2_moe");
  int64_t doubled = 0, zeros = 0;
  for (const auto& tensor : named("qwen2_moe").store(config)) {
    doubled += tensor.factor == 2 && tensor.name.ends_with(".mlp.shared_expert.down_proj.weight");
    zeros += tensor.parameter.empty() && tensor.name.ends_with(".mlp.shared_expert_gate.weight");
  }
  EXPECT_EQ(doubled, config.num_routed_layers());
  EXPECT_EQ(zeros, config.num_routed_layers());
}

}  // namespace
}  // namespace granule
