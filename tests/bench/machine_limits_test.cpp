#include "bench/machine_limits.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ops/kernels.h"
#include "tests/ops/every_isa.h"

namespace granule {
namespace {

TEST(MachineLimits, AreMeasuredForAllThreads) {
  const auto limits = measure_machine_limits();
  EXPECT_EQ(limits.num_threads, at::get_num_threads());
  for (const double rate : {limits.fp32_flops, limits.bf16_flops, limits.read_bytes, limits.copy_bytes}) {
    EXPECT_TRUE(std::isfinite(rate));
    EXPECT_GT(rate, 1e6);
  }
}

TEST(MachineLimits, OfMatrixProductsAreMeasuredOnTheDevice) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const double flops = measure_matrix_flops(at::kCPU, dtype, /*size=*/128);
    EXPECT_TRUE(std::isfinite(flops));
    EXPECT_GT(flops, 1e6);
  }
}

TEST(MachineLimits, EveryInstructionSetDoesTheProductsItCounts) {
  for (const Isa isa : isas_of_this_cpu()) {
    const IsaScope scope(isa);
    float values[2 * kPeakValues];
    for (float& value : values) value = 1.0f;
    const double flops = kernels<float>().multiply_registers(100, values);
    EXPECT_GT(flops, 0);
    EXPECT_EQ(values[kPeakValues], 200.0f) << isa_name(isa);  // two sums of 100 products of ones
    EXPECT_DOUBLE_EQ(kernels<Bf16>().multiply_registers(100, values), 2 * flops) << isa_name(isa);
  }
}

}  // namespace
}  // namespace granule
