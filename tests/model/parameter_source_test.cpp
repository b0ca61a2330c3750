#include "model/parameter_source.h"

#include <gtest/gtest.h>

#include "base/check.h"

namespace granule {
namespace {

class OneParameter : public ParameterSource {
 public:
  const std::string& path() const override { return path_; }
  std::vector<std::string> parameter_names() const override { return {"w"}; }
  const std::vector<int64_t>* find_shape(const std::string& name) const override {
    return name == "w" ? &shape_ : nullptr;
  }
  void read_values(const std::string&, int64_t, std::span<float>) const override {}

 private:
  std::string path_ = "here";
  std::vector<int64_t> shape_ = {2, 3};
};

std::string error_of(const std::string& name, const std::vector<int64_t>& shape) {
  try {
    check_parameter(OneParameter(), name, shape);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

// Two parameters, in either order, whose values are a number apart.
class TwoParameters : public ParameterSource {
 public:
  TwoParameters(std::vector<std::string> names, float first) : names_(std::move(names)), first_(first) {}
  const std::string& path() const override { return path_; }
  std::vector<std::string> parameter_names() const override { return names_; }
  const std::vector<int64_t>* find_shape(const std::string&) const override { return &shape_; }
  void read_values(const std::string& name, int64_t, std::span<float> values) const override {
    for (auto& value : values) value = name == "v" ? first_ : 1.0f;
  }

 private:
  std::string path_ = "here";
  std::vector<std::string> names_;
  std::vector<int64_t> shape_ = {20, 30};
  float first_;
};

TEST(ParameterSource, FingerprintsTellModelsApart) {
  const auto of = [](std::vector<std::string> names, float first) {
    return fingerprint(TwoParameters(std::move(names), first));
  };
  const auto own = of({"v", "w"}, 0.3f);
  EXPECT_NE(own, 0u);
  EXPECT_EQ(own, of({"w", "v"}, 0.3f));
  EXPECT_EQ(own, of({"w", "v"}, 0.30001f)) << "the same in bf16";
  EXPECT_NE(own, of({"v", "w"}, 0.31f));
  EXPECT_NE(own, of({"v", "x"}, 0.3f));
  EXPECT_NE(own, of({"v"}, 0.3f));
}

TEST(ParameterSource, LacksNamesAndShapesThatItDoesNotHave) {
  EXPECT_EQ(error_of("w", {2, 3}), "");
  EXPECT_EQ(error_of("v", {2, 3}), "here: has no parameter v, which the model needs");
  EXPECT_EQ(error_of("w", {3, 2}), "here: w has shape [2,3], expected [3,2]");
}

}  // namespace
}  // namespace granule
