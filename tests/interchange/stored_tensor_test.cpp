#include "interchange/stored_tensor.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/support/interchange_models.h"

namespace granule {
namespace {

TEST(StoredTensor, EveryParameterIsStoredUnderItsGlobalName) {
  const auto config = interchange_config("glm4_moe");
  const CodedParameters parameters(config);
  const auto tensors = store_under_global_names(config);
  EXPECT_EQ(tensors.size(), parameters.parameter_names().size());
  for (const auto& tensor : tensors) {
    EXPECT_EQ(tensor.name, tensor.parameter);
    EXPECT_EQ(tensor.shape, *parameters.find_shape(tensor.name));
    EXPECT_EQ(tensor.fp32, tensor.name.ends_with("e_score_correction_bias")) << tensor.name;
  }
}

TEST(StoredTensor, ExpertsFillTheirStacksWithoutGapOrOverlap) {
  const auto config = interchange_config("qwen2_moe");
  std::map<std::string, std::map<int64_t, int64_t>> stretches;  // of each stack: begin -> end
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const auto& tensor : store_under_global_names(config)) {
    for (const auto& place : tensor.elsewhere) {
      stretches[place.name][place.begin] = place.begin + tensor.shape[0] * tensor.shape[1];
      shapes[place.name] = place.shape;
    }
  }
  EXPECT_EQ(stretches.size(), static_cast<size_t>(2 * config.num_routed_layers()));
  const int64_t E = 8, F = config.moe_intermediate_size, D = config.hidden_size;
  EXPECT_EQ(shapes.at("model.layers.2.mlp.experts.gate_up_proj"), std::vector<int64_t>({E, 2 * F, D}));
  EXPECT_EQ(shapes.at("model.layers.2.mlp.experts.down_proj"), std::vector<int64_t>({E, D, F}));
  for (const auto& [name, parts] : stretches) {
    int64_t end = 0;
    for (const auto& [begin, next] : parts) {
      EXPECT_EQ(begin, end) << name;
      end = next;
    }
    EXPECT_EQ(end, shapes[name][0] * shapes[name][1] * shapes[name][2]) << name;
  }
}

TEST(StoredTensor, ZeroSharedExpertsStandInLayersWithExperts) {
  const auto config = interchange_config("qwen2_moe");
  std::vector<StoredTensor> tensors;
  add_zero_shared_experts(config, "shared_expert", tensors);
  ASSERT_EQ(tensors.size(), static_cast<size_t>(3 * config.num_routed_layers()));
  EXPECT_EQ(tensors[2].name, "model.layers.2.mlp.shared_expert.down_proj.weight");
  EXPECT_EQ(tensors[2].shape, std::vector<int64_t>({config.hidden_size, config.moe_intermediate_size}));
  EXPECT_EQ(tensors[2].parameter, "");
}

}  // namespace
}  // namespace granule
