#include "interchange/hugging_face_tensors.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "tests/support/interchange_models.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/token_files.h"

namespace granule {
namespace {

class HuggingFaceTensorsTest : public testing::Test {
 protected:
  void SetUp() override {
    write_loose_tensors(path("model-00001-of-00002.safetensors"),
                        {{"a", loose_tensor({2, 2}, {1, 2, 3, 4})}});
    write_loose_tensors(path("model-00002-of-00002.safetensors"), {{"b", loose_tensor({3}, {5, 6, 7})}});
    write_index(R"({"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"})");
  }
  std::string path(const std::string& name) const { return directory_.path(name); }
  void write_index(const std::string& weight_map) const {
    write_text_file_durably(path(kShardIndex),
                            R"({"metadata": {"total_size": 28}, "weight_map": )" + weight_map + "}");
  }
  std::string error() const {
    return input_error_of([&] { HuggingFaceTensors tensors(directory_.path()); });
  }
  void expect_error(const std::string& part) const {
    const auto text = error();
    EXPECT_NE(text.find(part), std::string::npos) << text << "\nlacks: " << part;
  }

  TemporaryDirectory directory_;
};

TEST_F(HuggingFaceTensorsTest, ReadsRangesFromShards) {
  const HuggingFaceTensors tensors(directory_.path());
  EXPECT_EQ(tensors.all().size(), 2u);
  EXPECT_EQ(tensors.find("c"), nullptr);
  EXPECT_EQ(tensors.find("a")->shape(), std::vector<int64_t>({2, 2}));
  std::vector<float> values(2);
  tensors.read(*tensors.find("a"), 1, values);
  EXPECT_EQ(values, std::vector<float>({2, 3}));
  tensors.read(*tensors.find("b"), 1, values);
  EXPECT_EQ(values, std::vector<float>({6, 7}));
  EXPECT_THROW(tensors.read(*tensors.find("b"), 2, values), InputError);
}

TEST_F(HuggingFaceTensorsTest, ASingleFileNeedsNoIndex) {
  write_loose_tensors(path(kSingleShard), {{"c", {"BF16", {2}, std::string("\x80\x3f\x20\xc0", 4)}}});
  const HuggingFaceTensors tensors(directory_.path());
  EXPECT_EQ(tensors.all().size(), 1u);
  std::vector<float> values(2);
  tensors.read(*tensors.find("c"), 0, values);
  EXPECT_EQ(values, std::vector<float>({1.0f, -2.5f}));
}

TEST_F(HuggingFaceTensorsTest, SaysThatThereIsNoDirectory) {
  EXPECT_EQ(input_error_of([&] { HuggingFaceTensors tensors(path("none")); }),
            path("none") + ": there is no such directory");
}

TEST_F(HuggingFaceTensorsTest, RefusesFilesOutsideTheDirectory) {
  for (const std::string name : {"../model.safetensors", "/etc/model.safetensors", "sub/x.safetensors",
                                 ".x.safetensors", "..\\\\x.safetensors", ""}) {
    write_index(R"({"a": ")" + name + R"(", "b": "model-00002-of-00002.safetensors"})");
    expect_error("weight_map.a names no file of this directory");
  }
  write_index(R"({"a": "model.bin"})");
  expect_error("is no safetensors file");
}

TEST_F(HuggingFaceTensorsTest, RefusesAnIndexAndShardsThatDisagree) {
  write_index(R"({"a": "model-00001-of-00002.safetensors", "b": "model-00001-of-00002.safetensors"})");
  expect_error("has no b, which model.safetensors.index.json says it has");
  write_index(R"({"a": "model-00003-of-00002.safetensors"})");
  expect_error("model-00003-of-00002.safetensors");
  write_index(R"({"a": "model-00001-of-00002.safetensors", "a": "model-00002-of-00002.safetensors"})");
  expect_error("twice");
  write_index(R"(["a"])");
  expect_error("weight_map is no object");
  write_loose_tensors(path("model-00002-of-00002.safetensors"),
                      {{"b", loose_tensor({3}, {5, 6, 7})}, {"a", loose_tensor({1}, {1})}});
  write_index(R"({"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"})");
  expect_error("has a for the second time");
  write_loose_tensors(path("model-00002-of-00002.safetensors"),
                      {{"b", loose_tensor({3}, {5, 6, 7})}, {"d", loose_tensor({1}, {1})}});
  expect_error("has d, which model.safetensors.index.json lacks");
}

TEST_F(HuggingFaceTensorsTest, RefusesTruncatedAndLyingFiles) {
  const auto name = path("model-00002-of-00002.safetensors");
  const auto bytes = read_text_file(name, 1 << 20);
  for (const size_t size : {size_t{0}, size_t{7}, size_t{20}, bytes.size() - 1}) {
    std::ofstream(name, std::ios::binary | std::ios::trunc) << bytes.substr(0, size);
    expect_error("model-00002-of-00002.safetensors");
  }
  auto longer = bytes;
  const auto place = longer.find("[3]");
  longer.replace(place, 3, "[4]");
  std::ofstream(name, std::ios::binary | std::ios::trunc) << longer;
  expect_error("b");
}

TEST_F(HuggingFaceTensorsTest, RefusesOtherDtypesAndOtherFormats) {
  write_loose_tensors(path("model-00001-of-00002.safetensors"), {{"a", {"F8_E4M3", {2}, "ab"}}});
  expect_error("a is F8_E4M3; F32, F16 and BF16 are read");
  std::filesystem::remove(path(kShardIndex));
  write_text_file_durably(path("pytorch_model.bin"), "x");
  expect_error("neither model.safetensors nor model.safetensors.index.json");
}

TEST(ShardName, CountsFromOneAndHasNoNumberAlone) {
  EXPECT_EQ(shard_name(0, 1), "model.safetensors");
  EXPECT_EQ(shard_name(11, 163), "model-00012-of-00163.safetensors");
}

}  // namespace
}  // namespace granule
