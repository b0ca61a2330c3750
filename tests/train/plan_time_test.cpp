// The worked example: 400 TFLOP/s a GPU, 50 GB/s between them.
#include "train/plan_time.h"

#include <gtest/gtest.h>

#include "tests/support/plan_configs.h"

namespace granule {
namespace {

HardwareConfig worked_hardware() {
  return {.bf16_tflops = 1000, .achieved_fraction = 0.4, .ranks_per_node = 1, .network_gb_per_second = 50};
}

StepTime time_of(const char* name, const PlanLayout& layout, const HardwareConfig& hardware) {
  const auto config = paper_config(name);
  const auto cost = measure_cost(config.model, config.train.seq_length);
  return step_time(config, cost, layout, step_traffic(config, cost.size, layout), hardware);
}

TEST(PlanTime, StepOfThe16BIsTheWorkedOne) {
  const auto time = time_of("deepseekmoe_16b", {.ranks = 64, .expert = 8}, worked_hardware());
  EXPECT_NEAR(time.compute, 12.6, 0.05);
  EXPECT_NEAR(time.all_to_all, 13.7, 0.05);
  EXPECT_EQ(time.bubble, 0);
  EXPECT_DOUBLE_EQ(time.total(), time.compute + time.all_to_all + time.data_parallel);
}

TEST(PlanTime, StepOfThe145BIsTheWorkedOne) {
  // 7.75 layers with experts in the example's average stage, 8 in the fullest one here.
  const auto time =
      time_of("deepseekmoe_145b", {.ranks = 512, .pipeline = 8, .expert = 8}, worked_hardware());
  EXPECT_NEAR(time.compute, 12.6, 0.05);
  EXPECT_NEAR(time.all_to_all, 15.5 * 8 / 7.625, 0.2);
  // 7 micro-batches' time in 79 is waiting, 8.9 %; and 62 layers make stages of 8 where the mean has 7.75.
  const double slowest = time.compute * 8 / 7.75, busy = slowest + time.all_to_all + time.pipeline;
  EXPECT_NEAR(time.compute + time.bubble - slowest, busy * 7 / 72, 1e-9);
  EXPECT_NEAR((time.compute + time.bubble - slowest) / (busy + time.compute + time.bubble - slowest), 0.089,
              0.0005);
}

TEST(PlanTime, EvenStagesWaitForNobody) {
  const auto time = time_of("deepseekmoe_16b", {.ranks = 56, .pipeline = 7, .expert = 1}, worked_hardware());
  EXPECT_NEAR(time.bubble, 6.0 / 576 * (time.compute + time.pipeline), 1e-9);
}

TEST(PlanTime, ExchangesWithinANodeAreFaster) {
  auto hardware = worked_hardware();
  hardware.ranks_per_node = 8;
  hardware.node_gb_per_second = 500;
  const auto far = time_of("deepseekmoe_16b", {.ranks = 64, .expert = 8}, worked_hardware());
  const auto near = time_of("deepseekmoe_16b", {.ranks = 64, .expert = 8}, hardware);
  EXPECT_DOUBLE_EQ(near.all_to_all * 10, far.all_to_all);
  EXPECT_DOUBLE_EQ(near.data_parallel, far.data_parallel);
}

TEST(PlanTime, RecomputationCostsAThirdMore) {
  const auto kept = time_of("deepseekmoe_16b", {.ranks = 64, .expert = 8}, worked_hardware());
  const auto again =
      time_of("deepseekmoe_16b", {.ranks = 64, .expert = 8, .recompute = true}, worked_hardware());
  EXPECT_DOUBLE_EQ(again.compute, kept.compute * 4 / 3);
}

TEST(PlanTime, GpuHoursForATrillionTokensAreTheWorkedOnes) {
  for (const auto& [name, hours] :
       {std::pair{"deepseekmoe_16b", 11.9e3}, std::pair{"deepseekmoe_145b", 95e3}}) {
    const auto config = paper_config(name);
    const auto cost = measure_cost(config.model, config.train.seq_length);
    EXPECT_NEAR(cost.flops.causal / 4096 * 1e12 / 400e12 / 3600, hours, 0.01 * hours);
  }
}

TEST(PlanTime, RunIsStepsStretchedByFailures) {
  const auto config = paper_config("deepseekmoe_16b");
  const auto size = paper_cost("deepseekmoe_16b").size;
  HardwareConfig hardware{
      .storage_gb_per_second = 100, .hours_between_failures = 50700, .restart_minutes = 10};
  const auto run = run_time(config, size, {.ranks = 512, .expert = 8}, 10, hardware);
  EXPECT_NEAR(run.failures.save_stall, 1.965, 0.001);
  EXPECT_NEAR(run.failures.between_failures / 3600, 99, 0.1);
  EXPECT_NEAR(run.best_goodput, 0.995, 0.0002);
  EXPECT_EQ(run.save_interval, 5000);
  EXPECT_LT(run.goodput, run.best_goodput);
  EXPECT_DOUBLE_EQ(run.seconds, 106449 * 10 / run.best_goodput);
  EXPECT_DOUBLE_EQ(run.rank_hours, run.seconds / 3600 * 512);
}

}  // namespace
}  // namespace granule
