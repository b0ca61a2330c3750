#include "interchange/float_elements.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace granule {
namespace {

TEST(FloatElements, KnowsTheBitsOfEachDtype) {
  const std::vector<float> values = {1.0f, -2.5f, 0.0f};
  const std::vector<std::pair<std::string, std::vector<uint16_t>>> cases = {
      {"BF16", {0x3f80, 0xc020, 0x0000}}, {"F16", {0x3c00, 0xc100, 0x0000}}};
  for (const auto& [dtype, bits] : cases) {
    std::vector<uint16_t> stored(3);
    narrow(dtype, values, stored.data());
    EXPECT_EQ(stored, bits) << dtype;
    std::vector<float> back(3);
    widen(dtype, bits.data(), back);
    EXPECT_EQ(back, values) << dtype;
  }
}

TEST(FloatElements, RoundsToNearestEven) {
  // bf16 has 7 bits behind the point: 1 + 2^-8 lies between 1 and 1 + 2^-7, 1 + 3 * 2^-8 above.
  const std::vector<float> values = {1.0f + 0x1p-8f, 1.0f + 3 * 0x1p-8f, 1.0f + 0x1.1p-8f};
  std::vector<uint16_t> stored(3);
  narrow("BF16", values, stored.data());
  EXPECT_EQ(stored, std::vector<uint16_t>({0x3f80, 0x3f82, 0x3f81}));
}

TEST(FloatElements, Fp32PassesBitByBit) {
  const std::vector<float> values = {0x1.fffffep-3f, std::numeric_limits<float>::denorm_min(), -0.0f};
  std::vector<float> stored(3), back(3);
  narrow("F32", values, stored.data());
  widen("F32", stored.data(), back);
  EXPECT_EQ(std::memcmp(back.data(), values.data(), sizeof(float) * 3), 0);
}

TEST(FloatElements, OtherDtypesHaveNoSize) {
  EXPECT_EQ(float_bytes("F32"), 4u);
  EXPECT_EQ(float_bytes("F8_E4M3"), 0u);
  EXPECT_EQ(float_bytes("I64"), 0u);
}

}  // namespace
}  // namespace granule
