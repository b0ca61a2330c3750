#include "base/check.h"

#include <gtest/gtest.h>

namespace granule {
namespace {

template <class Error, class Call>
std::string message_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(Check, SaysPlaceConditionAndValues) {
  const int rows = 3;
  const auto message =
      message_of<std::logic_error>([&] { CHECK(rows == 4, "rows ", rows, ", expected ", 4); });
  EXPECT_NE(message.find("check_test.cpp:"), std::string::npos) << message;
  EXPECT_NE(message.find("check failed: rows == 4: rows 3, expected 4"), std::string::npos) << message;
}

TEST(Check, NeedsNoWords) {
  const auto message = message_of<std::logic_error>([] { CHECK(1 > 2); });
  EXPECT_TRUE(message.ends_with("check failed: 1 > 2")) << message;
}

TEST(Check, PassesWithoutEvaluatingTheWords) {
  int evaluated = 0;
  CHECK(true, ++evaluated);
  EXPECT_EQ(evaluated, 0);
}

TEST(Check, IsOneStatement) {
  bool reached_else = false;
  if (false)
    CHECK(true);
  else
    reached_else = true;
  EXPECT_TRUE(reached_else);
}

TEST(Check, FailsWithAnotherKindThanTheUsersErrors) {
  EXPECT_THROW(CHECK(false), std::logic_error);
  EXPECT_FALSE((std::is_base_of_v<std::logic_error, UserError>));
}

TEST(ConfigError, SaysKeyValueAndRequirement) {
  const ConfigError error("model.top_k", 9, "must not exceed ", "model.num_experts = ", 8);
  EXPECT_STREQ(error.what(), "model.top_k = 9 must not exceed model.num_experts = 8");
  EXPECT_EQ(error.key(), "model.top_k");
  EXPECT_EQ(error.code(), ExitCode::kUsage);
}

TEST(ConfigError, ShowsABoolAsItIsWritten) {
  EXPECT_STREQ(ConfigError("train.fast", true, "is odd").what(), "train.fast = true is odd");
}

TEST(ConfigError, TakesAFinishedMessage) {
  const auto error = ConfigError::located("f.yaml:1:2: no");
  EXPECT_STREQ(error.what(), "f.yaml:1:2: no");
  EXPECT_EQ(error.key(), "");
}

TEST(InputError, BeginsWithThePath) {
  const InputError error("a/b.bin", "ends after ", 12, " bytes");
  EXPECT_STREQ(error.what(), "a/b.bin: ends after 12 bytes");
  EXPECT_EQ(error.code(), ExitCode::kInput);
}

TEST(NumericError, HasItsOwnExitCode) {
  const NumericError error("10 steps in a row were not finite");
  EXPECT_STREQ(error.what(), "10 steps in a row were not finite");
  EXPECT_EQ(error.code(), ExitCode::kNumeric);
}

TEST(JoinText, OfNothingIsEmpty) {
  EXPECT_EQ(join_text(), "");
}

struct FakeTensor {
  std::vector<int64_t> sizes;
  int64_t dim() const { return static_cast<int64_t>(sizes.size()); }
  int64_t size(int64_t index) const { return sizes[static_cast<size_t>(index)]; }
};

TEST(GetShape, GivesTheSizesInOrder) {
  const auto [T, E, K] = get_shape<3>(FakeTensor{{5, 7, 9}});
  EXPECT_EQ(T, 5);
  EXPECT_EQ(E, 7);
  EXPECT_EQ(K, 9);
}

TEST(GetShape, RefusesAnotherNumberOfDimensions) {
  const auto message = message_of<std::logic_error>([] { get_shape<2>(FakeTensor{{5, 7, 9}}); });
  EXPECT_NE(message.find("tensor has 3 dimensions, expected 2"), std::string::npos) << message;
}

}  // namespace
}  // namespace granule
