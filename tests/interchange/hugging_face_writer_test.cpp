#include "interchange/hugging_face_writer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "interchange/hugging_face_tensors.h"
#include "tests/support/interchange_models.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/token_files.h"

namespace granule {
namespace {

nlohmann::json read_json(const std::string& path) {
  return nlohmann::json::parse(read_text_file(path, 1 << 24));
}

TEST(HuggingFaceWriter, ShardsHoldAtMostSoManyBytesAndTheIndexNamesAll) {
  const TemporaryDirectory directory;
  constexpr uint64_t kShardBytes = 5000;
  write_coded_directory(directory.path(), "qwen2_moe", interchange_config("qwen2_moe"), "F32", kShardBytes);
  const auto index = read_json(directory.path(kShardIndex));
  uint64_t total = 0;
  std::map<std::string, uint64_t> shard_bytes;
  for (const auto& [tensor, file] : index.at("weight_map").items()) {
    const SafetensorsFile shard(directory.path(file.get<std::string>()));
    ASSERT_NE(shard.find(tensor), nullptr) << tensor;
    total += shard.find(tensor)->num_bytes();
    shard_bytes[file] += shard.find(tensor)->num_bytes();
    EXPECT_EQ(shard.metadata(), (SafetensorsMetadata{{"format", "pt"}}));
  }
  EXPECT_EQ(index.at("metadata").at("total_size"), total);
  EXPECT_GT(shard_bytes.size(), 4u);
  for (const auto& [file, bytes] : shard_bytes) EXPECT_LE(bytes, kShardBytes) << file;
}

TEST(HuggingFaceWriter, OneShardHasNoIndex) {
  const TemporaryDirectory directory;
  write_coded_directory(directory.path(), "llama", interchange_config("llama"));
  EXPECT_TRUE(std::filesystem::exists(directory.path("model.safetensors")));
  EXPECT_FALSE(std::filesystem::exists(directory.path(kShardIndex)));
}

TEST(HuggingFaceWriter, SelectionBiasesStayFp32) {
  const TemporaryDirectory directory;
  write_coded_directory(directory.path(), "glm4_moe", interchange_config("glm4_moe"), "BF16");
  for (const auto& [name, tensor] : read_loose_tensors(directory.path(kSingleShard))) {
    EXPECT_EQ(tensor.dtype, name.ends_with("e_score_correction_bias") ? "F32" : "BF16") << name;
  }
}

TEST(HuggingFaceWriter, ConfigJsonSaysWhatLoadersWouldTakeOtherwise) {
  const TemporaryDirectory directory;
  write_coded_directory(directory.path("a"), "glm4_moe", interchange_config("glm4_moe"), "BF16");
  const auto glm = read_json(directory.path("a/config.json"));
  EXPECT_EQ(glm.at("architectures"), nlohmann::json({"Glm4MoeForCausalLM"}));
  EXPECT_EQ(glm.at("partial_rotary_factor"), 1.0);
  EXPECT_EQ(glm.at("rope_parameters").at("partial_rotary_factor"), 1.0);
  EXPECT_EQ(glm.at("rms_norm_eps"), 2e-6);
  EXPECT_EQ(glm.at("head_dim"), 6);
  EXPECT_EQ(glm.at("num_nextn_predict_layers"), 0);
  EXPECT_EQ(glm.at("dtype"), "bfloat16");
  EXPECT_EQ(glm.at("torch_dtype"), "bfloat16");
  EXPECT_EQ(glm.at("eos_token_id"), 2);
  write_coded_directory(directory.path("b"), "qwen2_moe", interchange_config("qwen2_moe"));
  const auto qwen = read_json(directory.path("b/config.json"));
  EXPECT_EQ(qwen.at("mlp_only_layers"), nlohmann::json({0, 1, 3}));
  EXPECT_EQ(qwen.at("shared_expert_intermediate_size"), 16);
  EXPECT_EQ(qwen.at("rope_theta"), 5000.0);
  EXPECT_EQ(qwen.at("rope_parameters").at("rope_theta"), 5000.0);
}

TEST(HuggingFaceWriter, RefusesASourceOfAnotherShape) {
  const auto config = interchange_config("llama");
  auto wider = config;
  wider.intermediate_size = 32;
  const CodedParameters parameters(wider);
  const auto error = input_error_of(
      [&] { HuggingFaceWriter(choose_architecture("llama", config), config, parameters, {}, 1 << 30); });
  EXPECT_NE(error.find("mlp.gate_proj.weight has shape [32,16], expected [24,16]"), std::string::npos)
      << error;
}

}  // namespace
}  // namespace granule
