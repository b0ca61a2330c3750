#include "train/checkpoint_shard.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "base/safetensors.h"
#include "tests/support/checkpoint_run.h"
#include "tests/support/temporary_directory.h"

namespace granule {
namespace {

TEST(CheckpointShard, HoldsEverySliceUnderItsNameAndHash) {
  const TemporaryDirectory directory;
  run_layout(2, 1, [&](const LayoutRank& rank) {
    const auto parameters = coded_parameters(rank, 3, at::kBFloat16);
    Optimizer optimizer(parameters, rank.groups, {});
    run_updates(parameters, rank, optimizer, 1, 2);
    const auto name = join_text("shard-", rank.groups.world.rank());
    ShardReport report;
    write_shard({}, directory.path(), name, optimizer, report);

    ASSERT_EQ(report.files.size(), 1u);
    const SafetensorsFile file(directory.path(name));
    EXPECT_EQ(file.size(), report.files[0].bytes);
    EXPECT_EQ(hash_bytes(read_text_file(file.path(), 1 << 20)), report.files[0].hash);
    EXPECT_EQ(file.entries().size(), 3 * report.parameters.size());
    size_t i = 0;
    for (const auto& shard : optimizer.shards()) {
      for (const auto& segment : shard.buffer->own_segments()) {
        const auto& parameter = report.parameters[i++];
        const auto& slice = parameter.slices.front();
        EXPECT_EQ(parameter.name, segment.piece->name);
        EXPECT_EQ(parameter.dtype, parameter.name == "norm" ? "F32" : "BF16");
        EXPECT_EQ(parameter.placement, parameter.name.starts_with("experts.") ? "expert" : "dense");
        EXPECT_EQ(slice.begin, segment.piece_begin);
        const auto* entry = file.find(slice_tensor_name(StateTensor::kExpAvgSq, parameter.name, slice));
        ASSERT_NE(entry, nullptr) << parameter.name;
        std::vector<float> stored(static_cast<size_t>(slice.count));
        file.read(*entry, 0, stored.data(), stored.size() * sizeof(float));
        EXPECT_EQ(hash_bytes(stored.data(), stored.size() * sizeof(float)), slice.hash[2]);
        const auto expected =
            shard.exp_avg_sq.narrow(0, segment.flat_begin - shard.buffer->slice_begin(), segment.count);
        EXPECT_TRUE(at::tensor(stored).equal(expected)) << parameter.name;
      }
    }
    EXPECT_EQ(i, report.parameters.size());
  });
}

TEST(CheckpointShard, MomentsInBf16AreWrittenAsTheyAre) {
  const TemporaryDirectory directory;
  run_layout(1, 1, [&](const LayoutRank& rank) {
    const auto parameters = coded_parameters(rank, 3);
    Optimizer optimizer(parameters, rank.groups, {.moment_precision = "bf16"});
    run_updates(parameters, rank, optimizer, 1, 2);
    ShardReport report;
    write_shard({}, directory.path(), "shard", optimizer, report);

    const SafetensorsFile file(directory.path("shard"));
    for (const auto& parameter : report.parameters) {
      const auto& slice = parameter.slices.front();
      const auto dtype = [&](StateTensor tensor) {
        return file.find(slice_tensor_name(tensor, parameter.name, slice))->dtype;
      };
      EXPECT_EQ(dtype(StateTensor::kParameter), "F32");
      EXPECT_EQ(dtype(StateTensor::kExpAvg), "BF16");
      EXPECT_EQ(dtype(StateTensor::kExpAvgSq), "BF16");
    }
  });
}

TEST(CheckpointShard, ReportsTravelAsText) {
  ShardReport report;
  report.files = {{"a", 1, UINT64_MAX}};
  report.parameters = {{"p", {2, 3}, "F32", "dense", {{1, 4, 0, {1, 2, UINT64_MAX}}}}};
  CheckpointManifest read;
  merge_reports({print_report(report)}, read);
  EXPECT_EQ(read.files[0].hash, UINT64_MAX);
  EXPECT_EQ(read.parameters[0].shape, report.parameters[0].shape);
  EXPECT_EQ(read.parameters[0].slices[0].begin, 1);
  EXPECT_EQ(read.parameters[0].slices[0].hash, report.parameters[0].slices[0].hash);
}

TEST(CheckpointShard, MergingSortsSlicesAndRenumbersFiles) {
  ShardReport first, second;
  first.files = {{"rank-0", 1, 1}, {"config", 2, 2}};
  first.parameters = {{"p", {6}, "F32", "dense", {{4, 2, 0, {}}}}};
  second.files = {{"rank-1", 3, 3}};
  second.parameters = {{"p", {6}, "F32", "dense", {{0, 4, 0, {}}}},
                       {"a", {1}, "F32", "expert", {{0, 1, 0, {}}}}};
  CheckpointManifest manifest;
  merge_reports({print_report(first), print_report(second)}, manifest);
  ASSERT_EQ(manifest.files.size(), 3u);
  ASSERT_EQ(manifest.parameters.size(), 2u);
  EXPECT_EQ(manifest.parameters[0].name, "a");
  EXPECT_EQ(manifest.parameters[0].slices[0].file, 2);
  const auto& slices = manifest.parameters[1].slices;
  ASSERT_EQ(slices.size(), 2u);
  EXPECT_EQ(slices[0].begin, 0);
  EXPECT_EQ(slices[0].file, 2);
  EXPECT_EQ(slices[1].begin, 4);
  EXPECT_EQ(slices[1].file, 0);
}

}  // namespace
}  // namespace granule
