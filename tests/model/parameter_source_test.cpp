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

TEST(ParameterSource, LacksNamesAndShapesThatItDoesNotHave) {
  EXPECT_EQ(error_of("w", {2, 3}), "");
  EXPECT_EQ(error_of("v", {2, 3}), "here: has no parameter v, which the model needs");
  EXPECT_EQ(error_of("w", {3, 2}), "here: w has shape [2,3], expected [3,2]");
}

}  // namespace
}  // namespace granule
