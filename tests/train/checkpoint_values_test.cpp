#include "train/checkpoint_values.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "comm/loopback_communicator.h"
#include "model/transformer.h"
#include "tests/support/checkpoint_run.h"
#include "tests/support/interchange_models.h"
#include "tests/support/small_model.h"
#include "tests/support/temporary_directory.h"
#include "train/checkpoint.h"
#include "train/checkpoint_directory.h"
#include "train/checkpoint_restore.h"
#include "train/checkpoint_summary.h"

namespace granule {
namespace {

// Of some ranks, each writing its part.
std::string write_values_checkpoint(const TemporaryDirectory& run, const ModelConfig& config, int num_ranks) {
  const CodedParameters source(config);
  run_loopback(num_ranks, [&](Communicator& world) {
    CheckpointWriter writer({.directory = run.path("c"), .config_text = "run_dir: x\n"}, world);
    writer.save_values(source, describe_parameters(config, at::kBFloat16));
  });
  return run.path("c/step-0000000");
}

std::vector<float> values_of(const ParameterSource& source, const std::string& name) {
  int64_t count = 1;
  for (const auto size : *source.find_shape(name)) count *= size;
  std::vector<float> values(static_cast<size_t>(count));
  source.read_values(name, 0, values);
  return values;
}

TEST(CheckpointValues, HoldTheSourceWhateverTheNumberOfRanks) {
  const auto config = interchange_config("glm4_moe");
  const CodedParameters source(config);
  for (const int num_ranks : {1, 3}) {
    const TemporaryDirectory run;
    const Checkpoint checkpoint(write_values_checkpoint(run, config, num_ranks));
    const auto& manifest = checkpoint.manifest();
    EXPECT_FALSE(manifest.has_moments);
    EXPECT_EQ(manifest.state.step, 0);
    for (size_t i = 0; i < manifest.files.size(); ++i) checkpoint.verify_file(i);
    ASSERT_EQ(checkpoint.parameter_names(), source.parameter_names());
    for (const auto& name : source.parameter_names()) {
      EXPECT_EQ(*checkpoint.find_shape(name), *source.find_shape(name));
      EXPECT_EQ(values_of(checkpoint, name), values_of(source, name)) << name;
    }
    EXPECT_EQ(manifest.find("model.norm.weight")->dtype, "F32");
    EXPECT_EQ(manifest.find("model.layers.1.mlp.experts.3.up_proj.weight")->dtype, "BF16");
    EXPECT_EQ(manifest.find("model.layers.1.mlp.experts.3.up_proj.weight")->placement, "expert");
    EXPECT_NE(summarize_checkpoint(run.path("c"), true).text.find("without moments"), std::string::npos);
  }
}

TEST(CheckpointValues, ARunStartsFromThemWithMomentsOfZero) {
  const auto config = interchange_config("qwen2_moe");
  const TemporaryDirectory run;
  const Checkpoint checkpoint(write_values_checkpoint(run, config, 2));
  Transformer model(config, alone(), at::kFloat);
  model.initialize(1);
  const auto parameters = model.placed_parameters();
  Optimizer optimizer(parameters, {alone(), alone(), alone()}, {});
  for (const auto& shard : optimizer.shards()) shard.exp_avg.fill_(7);
  restore_optimizer(checkpoint, optimizer, alone());
  EXPECT_EQ(optimizer.num_updates(), 0);
  for (const auto& shard : optimizer.shards()) {
    EXPECT_EQ(shard.exp_avg.abs().max().item<float>(), 0);
    EXPECT_EQ(shard.exp_avg_sq.abs().max().item<float>(), 0);
  }
  for (const auto& parameter : parameters) {
    for (const auto& piece : parameter.pieces) {
      const auto values = values_of(checkpoint, piece.name);
      const auto expected = at::tensor(values);
      EXPECT_TRUE(parameter.tensor.flatten().narrow(0, piece.offset, expected.numel()).equal(expected))
          << piece.name;
    }
  }
}

TEST(CheckpointValues, DamageIsFoundAndNamed) {
  const TemporaryDirectory run;
  const auto path = write_values_checkpoint(run, interchange_config("llama"), 1);
  auto bytes = read_text_file(path + "/" + shard_file_name(0), 1 << 24);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  write_text_file_durably(path + "/" + shard_file_name(0), bytes);
  const Checkpoint checkpoint(path);
  try {
    checkpoint.verify_file(0);
    FAIL() << "no error";
  } catch (const InputError& error) {
    EXPECT_NE(std::string(error.what()).find("is damaged in parameter/"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace granule
