#include "ops/isa.h"

#include <gtest/gtest.h>

#include "base/check.h"
#include "tests/ops/every_isa.h"

namespace granule {
namespace {

TEST(Isa, AutoTakesTheBestOfThisCpu) {
  set_kernel_isa("auto");
  EXPECT_EQ(kernel_isa(), isas_of_this_cpu().back());
}

TEST(Isa, AnySetOfThisCpuCanBeForced) {
  for (const Isa isa : isas_of_this_cpu()) {
    const IsaScope scope(isa);
    EXPECT_EQ(kernel_isa(), isa);
  }
}

TEST(Isa, RefusesUnknownNamesAndSetsTheCpuLacks) {
  EXPECT_THROW(set_kernel_isa("sse9"), ConfigError);
  for (const Isa isa : {Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16}) {
    if (!cpu_has(isa)) {
      EXPECT_THROW(set_kernel_isa(isa_name(isa)), ConfigError);
    }
  }
}

}  // namespace
}  // namespace granule
