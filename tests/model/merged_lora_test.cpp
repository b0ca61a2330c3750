#include "model/merged_lora.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <map>

#include "base/check.h"

namespace granule {
namespace {

// Tensors in memory.
class MemorySource : public ParameterSource {
 public:
  MemorySource(std::string path, const std::map<std::string, at::Tensor>& tensors) : path_(std::move(path)) {
    for (const auto& [name, tensor] : tensors) {
      tensors_[name] = tensor.contiguous();
      shapes_[name] = tensor.sizes().vec();
    }
  }
  const std::string& path() const override { return path_; }
  std::vector<std::string> parameter_names() const override {
    std::vector<std::string> names;
    for (const auto& [name, shape] : shapes_) names.push_back(name);
    return names;
  }
  const std::vector<int64_t>* find_shape(const std::string& name) const override {
    const auto found = shapes_.find(name);
    return found == shapes_.end() ? nullptr : &found->second;
  }
  void read_values(const std::string& name, int64_t begin, std::span<float> values) const override {
    const auto* from = tensors_.at(name).const_data_ptr<float>() + begin;
    std::copy(from, from + values.size(), values.begin());
  }

 private:
  std::string path_;
  std::map<std::string, at::Tensor> tensors_;
  std::map<std::string, std::vector<int64_t>> shapes_;
};

using Tensors = std::map<std::string, at::Tensor>;

const Tensors kBase = {{"a.q_proj.weight", at::randn({5, 7})},
                       {"a.mlp.experts.3.up_proj.weight", at::randn({4, 6})},
                       {"a.norm.weight", at::randn({7})}};
const Tensors kAdapters = {{"a.q_proj.lora_A.weight", at::randn({3, 7})},
                           {"a.q_proj.lora_B.weight", at::randn({5, 3})}};

MergedLora merged(const Tensors& adapters, double scale = 2.5) {
  return {std::make_unique<MemorySource>("base", kBase), std::make_unique<MemorySource>("adapters", adapters),
          scale};
}

TEST(MergedLora, EveryRangeIsTheMatrixPlusItsAdaptersProduct) {
  const auto source = merged(kAdapters);
  const auto expected =
      (kBase.at("a.q_proj.weight") +
       2.5 * at::mm(kAdapters.at("a.q_proj.lora_B.weight"), kAdapters.at("a.q_proj.lora_A.weight")))
          .flatten();
  for (int64_t begin = 0; begin <= 35; ++begin) {
    for (int64_t end = begin; end <= 35; ++end) {
      const auto values = at::full({end - begin}, -1.0);
      source.read_values("a.q_proj.weight", begin,
                         {values.mutable_data_ptr<float>(), static_cast<size_t>(end - begin)});
      EXPECT_TRUE(at::allclose(values, expected.slice(0, begin, end), 1e-5, 1e-5)) << begin << " " << end;
    }
  }
}

TEST(MergedLora, AllElseIsTheBase) {
  const auto source = merged(kAdapters);
  EXPECT_EQ(source.path(), "adapters");
  EXPECT_EQ(source.parameter_names(), MemorySource("base", kBase).parameter_names());
  EXPECT_EQ(*source.find_shape("a.q_proj.weight"), (std::vector<int64_t>{5, 7}));
  for (const auto* name : {"a.norm.weight", "a.mlp.experts.3.up_proj.weight"}) {
    const auto values = at::empty_like(kBase.at(name));
    source.read_values(name, 0, {values.mutable_data_ptr<float>(), static_cast<size_t>(values.numel())});
    EXPECT_TRUE(values.equal(kBase.at(name))) << name;
  }
}

std::string error_of(const Tensors& adapters) {
  try {
    merged(adapters);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

TEST(MergedLora, RefusesAdaptersThatFitNoMatrixOfTheBase) {
  EXPECT_EQ(error_of({{"a.norm.weight", at::ones({7})}}),
            "adapters: holds a.norm.weight, which is no adapter");
  EXPECT_EQ(error_of({{"b.q_proj.lora_A.weight", at::ones({3, 7})}}),
            "adapters: adapts b.q_proj.weight, a matrix that its base base does not have");
  auto wide = kAdapters;
  wide["a.q_proj.lora_A.weight"] = at::ones({3, 8});
  EXPECT_EQ(error_of(wide), "adapters: a.q_proj.lora_A.weight has shape [3,8], expected [3,7]");
  auto other_rank = kAdapters;
  other_rank["a.q_proj.lora_B.weight"] = at::ones({5, 4});
  EXPECT_EQ(error_of(other_rank), "adapters: a.q_proj.lora_B.weight has shape [5,4], expected [5,3]");
  EXPECT_EQ(error_of({{"a.q_proj.lora_B.weight", at::ones({5, 3})}}),
            "adapters: has no parameter a.q_proj.lora_A.weight, which the model needs");
}

}  // namespace
}  // namespace granule
