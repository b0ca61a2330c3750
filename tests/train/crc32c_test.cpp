#include "train/crc32c.h"

#include <gtest/gtest.h>

#include <string>

namespace granule {
namespace {

TEST(Crc32c, GivesThePublishedValues) {
  EXPECT_EQ(crc32c(""), 0u);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  // RFC 3720, B.4.
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
}

TEST(Crc32c, MaskRotatesAndShifts) {
  EXPECT_EQ(masked_crc32c("123456789"), 0xc78ab0e5u);
}

}  // namespace
}  // namespace granule
