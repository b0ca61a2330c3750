#include "interchange/hugging_face_directory.h"

#include <gtest/gtest.h>

#include "base/config.h"
#include "tests/support/interchange_models.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/token_files.h"

namespace granule {
namespace {

void expect_coded_values(const HuggingFaceDirectory& directory, const ModelConfig& config) {
  const CodedParameters expected(config);
  ASSERT_EQ(directory.parameter_names(), expected.parameter_names());
  for (const auto& name : expected.parameter_names()) {
    ASSERT_EQ(*directory.find_shape(name), *expected.find_shape(name)) << name;
    int64_t count = 1;
    for (const auto size : *expected.find_shape(name)) count *= size;
    for (const int64_t begin : {int64_t{0}, count / 3}) {
      std::vector<float> ours(static_cast<size_t>(count - begin)), theirs(ours.size());
      directory.read_values(name, begin, ours);
      expected.read_values(name, begin, theirs);
      EXPECT_EQ(ours, theirs) << name;
    }
  }
}

class HuggingFaceDirectoryTest : public testing::Test {
 protected:
  void write(const std::string& model_type) {
    config_ = interchange_config(model_type);
    write_coded_directory(directory_.path(), model_type, config_);
  }
  void change(const std::function<void(LooseTensors&)>& edit) {
    auto tensors = read_loose_tensors(directory_.path(kSingleShard));
    edit(tensors);
    write_loose_tensors(directory_.path(kSingleShard), tensors);
  }
  void expect_refused(const std::string& part) {
    const auto error = input_error_of([&] { HuggingFaceDirectory directory(directory_.path()); });
    EXPECT_NE(error.find(part), std::string::npos) << error << "\nlacks: " << part;
  }

  TemporaryDirectory directory_;
  ModelConfig config_;
};

TEST_F(HuggingFaceDirectoryTest, ReadsBackWhatIsWrittenInEveryArchitectureDtypeAndNumberOfShards) {
  for (const auto& architecture : architectures()) {
    const auto config = interchange_config(architecture.model_type);
    for (const auto* dtype : {"F32", "BF16"}) {
      for (const uint64_t shard_bytes : {1 << 30, 5000, 1}) {
        const TemporaryDirectory temporary;
        write_coded_directory(temporary.path(), architecture.model_type, config, dtype, shard_bytes);
        const HuggingFaceDirectory directory(temporary.path());
        EXPECT_EQ(directory.dtype(), dtype);
        EXPECT_EQ(directory.max_position_embeddings(), 64);
        EXPECT_EQ(print_config(directory.config()), print_config(config));
        expect_coded_values(directory, config);
      }
    }
  }
}

// [E, 2F, D] and [E, D, F] in place of 3 E matrices.
void stack_experts(LooseTensors& tensors, const std::string& from, const std::array<std::string, 3>& names,
                   const std::string& to, uint64_t E) {
  LooseTensor gate_up{"F32", {}, ""}, down{"F32", {}, ""};
  for (uint64_t e = 0; e < E; ++e) {
    const auto take = [&](const std::string& name) {
      return tensors.extract(join_text(from, e, ".", name, ".weight")).mapped();
    };
    const auto gate = take(names[0]), up = take(names[1]), one_down = take(names[2]);
    gate_up.shape = {E, 2 * gate.shape[0], gate.shape[1]};
    gate_up.bytes += gate.bytes + up.bytes;
    down.shape = {E, one_down.shape[0], one_down.shape[1]};
    down.bytes += one_down.bytes;
  }
  tensors[to + "gate_up_proj"] = gate_up;
  tensors[to + "down_proj"] = down;
}

TEST_F(HuggingFaceDirectoryTest, ReadsStacksOfExperts) {
  write("glm4_moe");
  change([&](LooseTensors& tensors) {
    for (const auto* layer : {"1", "2"}) {
      const auto experts = join_text("model.layers.", layer, ".mlp.experts.");
      stack_experts(tensors, experts, {"gate_proj", "up_proj", "down_proj"}, experts, 8);
    }
  });
  expect_coded_values(HuggingFaceDirectory(directory_.path()), config_);
}

TEST_F(HuggingFaceDirectoryTest, ReadsTheNamesOfMixtralInsideTransformers) {
  write("mixtral");
  change([&](LooseTensors& tensors) {
    for (const auto* layer : {"0", "1", "2"}) {
      const auto from = join_text("model.layers.", layer, ".block_sparse_moe.");
      const auto to = join_text("model.layers.", layer, ".mlp.");
      stack_experts(tensors, from + "experts.", {"w1", "w3", "w2"}, to + "experts.", 8);
      tensors[to + "gate.weight"] = tensors.extract(from + "gate.weight").mapped();
    }
  });
  expect_coded_values(HuggingFaceDirectory(directory_.path()), config_);
}

TEST_F(HuggingFaceDirectoryTest, RefusesMissingLeftOverAndMisshapenTensors) {
  write("qwen2_moe");
  const auto original = read_loose_tensors(directory_.path(kSingleShard));
  const auto with = [&](const std::function<void(LooseTensors&)>& edit) {
    auto tensors = original;
    edit(tensors);
    write_loose_tensors(directory_.path(kSingleShard), tensors);
  };
  with([](auto& t) {
    t.erase("model.layers.2.mlp.experts.7.up_proj.weight");
    t.erase("model.norm.weight");
  });
  expect_refused("missing in all: 2");
  with([](auto& t) { t.erase("model.layers.2.mlp.shared_expert_gate.weight"); });
  expect_refused("has no model.layers.2.mlp.shared_expert_gate.weight");
  with([](auto& t) { t["model.layers.2.mlp.experts.8.up_proj.weight"] = t["model.norm.weight"]; });
  expect_refused("holds model.layers.2.mlp.experts.8.up_proj.weight, which a qwen2_moe");
  with([](auto& t) { t["model.layers.2.mlp.experts.down_proj"] = t["model.norm.weight"]; });
  expect_refused("holds model.layers.2.mlp.experts.down_proj");
  with([](auto& t) { t["model.norm.weight"].shape = {4, 4}; });
  expect_refused("model.norm.weight has shape [4,4], config.json makes it [16]");
}

TEST_F(HuggingFaceDirectoryTest, PartsThatGranuleLacksMustBeZeros) {
  write("qwen2_moe");
  const auto original = read_loose_tensors(directory_.path(kSingleShard));
  for (const auto* name :
       {"model.layers.2.mlp.shared_expert_gate.weight", "model.layers.0.self_attn.k_proj.bias"}) {
    auto tensors = original;
    auto& bytes = tensors.at(name).bytes;
    bytes[bytes.size() - 1] = '\x40';
    write_loose_tensors(directory_.path(kSingleShard), tensors);
    expect_refused(join_text(name, " must be all zeros"));
  }
  // Biases that config.json of qwen2_moe and llama switch off are not there at all; other writers add some.
  auto tensors = original;
  tensors.erase("model.layers.0.self_attn.k_proj.bias");
  tensors["model.layers.0.self_attn.o_proj.bias"] = loose_tensor({2}, {0, 0});
  tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = loose_tensor({2}, {1, 0.5});
  write_loose_tensors(directory_.path(kSingleShard), tensors);
  expect_coded_values(HuggingFaceDirectory(directory_.path()), config_);
}

TEST_F(HuggingFaceDirectoryTest, ATiedHeadMayBeThereIfItIsTheEmbedding) {
  write("llama");
  change([](auto& t) { t["lm_head.weight"] = t["model.embed_tokens.weight"]; });
  expect_coded_values(HuggingFaceDirectory(directory_.path()), config_);
  change([](auto& t) { t["lm_head.weight"].bytes[5] ^= 1; });
  expect_refused("lm_head.weight differs from model.embed_tokens.weight");
}

TEST_F(HuggingFaceDirectoryTest, ModelsWithoutSharedExpertsComeBackWithoutThem) {
  for (const auto* type : {"qwen2_moe", "glm4_moe"}) {
    auto config = interchange_config(type);
    config.n_shared_experts = 0;
    const TemporaryDirectory temporary;
    write_coded_directory(temporary.path(), type, config);
    const HuggingFaceDirectory directory(temporary.path());
    EXPECT_EQ(print_config(directory.config()), print_config(config));
    expect_coded_values(directory, config);
    // Once trained elsewhere they are shared experts.
    auto tensors = read_loose_tensors(temporary.path(kSingleShard));
    for (auto& [name, tensor] : tensors) {
      if (name.ends_with("up_proj.weight") && name.find("shared_expert") != std::string::npos)
        tensor.bytes[3] = '\x40';
    }
    write_loose_tensors(temporary.path(kSingleShard), tensors);
    EXPECT_NE(input_error_of([&] { HuggingFaceDirectory again(temporary.path()); }).find("must be all zeros"),
              std::string::npos);
  }
}

TEST_F(HuggingFaceDirectoryTest, SigmoidRoutersWithoutBiasAreWrittenWithZeros) {
  auto config = interchange_config("glm4_moe");
  config.router.moe_router_enable_expert_bias = false;
  write_coded_directory(directory_.path(), "glm4_moe", config);
  const HuggingFaceDirectory directory(directory_.path());
  EXPECT_TRUE(directory.config().router.moe_router_enable_expert_bias);
  std::vector<float> bias(8, 1.0f);
  directory.read_values("model.layers.1.mlp.gate.e_score_correction_bias", 0, bias);
  EXPECT_EQ(bias, std::vector<float>(8, 0.0f));
}

TEST_F(HuggingFaceDirectoryTest, RefusesConfigsThatCannotBe) {
  write("llama");
  edit_text(directory_.path(kConfigJson), "\"num_attention_heads\": 4", "\"num_attention_heads\": 3");
  expect_refused("says what no model can be: model.num_key_value_heads = 2 must divide");
  edit_text(directory_.path(kConfigJson), "\"num_attention_heads\": 3",
            "\"num_attention_heads\": 4,\"hidden_size\": 16");
  expect_refused("has the key \"hidden_size\" twice");
}

TEST_F(HuggingFaceDirectoryTest, SettingsThatShapesDoNotShowMustBeTheRuns) {
  write("glm4_moe");
  const HuggingFaceDirectory directory(directory_.path());
  check_same_model(config_, directory.config(), "config.json");
  const auto refused = [&](const auto& change) {
    auto config = config_;
    change(config);
    try {
      check_same_model(config, directory.config(), "config.json");
    } catch (const ConfigError& error) {
      return error.key();
    }
    return std::string();
  };
  EXPECT_EQ(refused([](auto& c) { c.rope_theta = 10000; }), "model.rope_theta");
  EXPECT_EQ(refused([](auto& c) { c.rms_norm_eps = 1e-5; }), "model.rms_norm_eps");
  EXPECT_EQ(refused([](auto& c) { c.num_attention_heads = 8; }), "model.num_attention_heads");
  EXPECT_EQ(refused([](auto& c) { c.head_dim = 8; }), "model.head_dim");
  EXPECT_EQ(refused([](auto& c) { c.router.num_experts_per_tok = 2; }), "model.num_experts_per_tok");
  EXPECT_EQ(refused([](auto& c) { c.router.scoring_func = "softmax"; }), "model.scoring_func");
  EXPECT_EQ(refused([](auto& c) { c.router.norm_topk_prob = false; }), "model.norm_topk_prob");
  EXPECT_EQ(refused([](auto& c) { c.router.routed_scaling_factor = 1; }), "model.routed_scaling_factor");
  EXPECT_EQ(refused([](auto& c) { c.router.topk_group = 3; }), "model.topk_group");
  EXPECT_EQ(refused([](auto& c) { c.router.topk_method = "group_limited_greedy"; }), "model.topk_method");
  EXPECT_EQ(refused([](auto& c) { c.router.moe_router_enable_expert_bias = false; }),
            "model.moe_router_enable_expert_bias");
  EXPECT_EQ(refused([](auto& c) { c.tie_word_embeddings = true; }), "model.tie_word_embeddings");
  EXPECT_EQ(refused([](auto& c) { c.router.moe_expert_capacity_factor = 2; }), "");
  EXPECT_EQ(refused([](auto& c) { c.balance.moe_aux_loss_coeff = 1; }), "");
}

TEST(IsHuggingFaceDirectory, IsDecidedByConfigJson) {
  const TemporaryDirectory directory;
  EXPECT_FALSE(is_hugging_face_directory(directory.path()));
  EXPECT_FALSE(is_hugging_face_directory(""));
  write_text_file_durably(directory.path("config.json"), "{}");
  EXPECT_TRUE(is_hugging_face_directory(directory.path()));
}

}  // namespace
}  // namespace granule
