#include "train/plan.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "tests/support/plan_configs.h"
#include "tests/support/temporary_directory.h"

namespace granule {
namespace {

Plan plan_16b(const PlanLayout& layout, const HardwareConfig& hardware = {}) {
  const auto config = paper_config("deepseekmoe_16b");
  return make_plan(config, measure_cost(config.model, config.train.seq_length), layout, hardware);
}

TEST(Plan, HoldsWhatItsPartsSay) {
  const PlanLayout layout{.ranks = 64, .expert = 8, .recompute = true};
  const auto plan = plan_16b(layout);
  EXPECT_EQ(plan.fault, "");
  EXPECT_TRUE(plan.is_laid_out());
  EXPECT_EQ(plan.memory.total(), largest_memory(plan.config, plan.cost.size, layout).total());
  EXPECT_EQ(plan.traffic.all_to_all, step_traffic(plan.config, plan.cost.size, layout).all_to_all);
  EXPECT_NEAR(plan.tokens_per_step(), 18.87e6, 0.01e6);
  EXPECT_EQ(plan.memory_limit(), 74.0 * 1024 * 1024 * 1024);
}

TEST(Plan, SaysWhatMemoryIsMissing) {
  const auto plan = plan_16b({.ranks = 1, .recompute = true});
  EXPECT_TRUE(plan.is_laid_out());
  EXPECT_NE(plan.fault.find("GiB of 74.0: state"), std::string::npos) << plan.fault;
}

TEST(Plan, OfALayoutThatCannotBeHasOnlyItsCost) {
  const auto plan = plan_16b({.ranks = 3, .expert = 3});
  EXPECT_FALSE(plan.is_laid_out());
  EXPECT_NE(plan.fault, "");
  EXPECT_EQ(plan.cost.size.total(), 16'375'728'128);
}

TEST(Plan, EveryShippedHardwareIsRead) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(shipped_configs() / "hardware")) {
    const auto hardware = load_hardware(entry.path().string());
    EXPECT_EQ(hardware.name, entry.path().stem().string());
    ++files;
  }
  EXPECT_GE(files, 4);
}

TEST(Plan, DefaultHardwareIsTheShippedH100) {
  const auto shipped = load_hardware((shipped_configs() / "hardware" / "h100.yaml").string());
  EXPECT_EQ(print_config(HardwareConfig{}), print_config(shipped));
}

TEST(Plan, RefusesHardwareWithoutMemory) {
  const TemporaryDirectory directory;
  write_text_file_durably(directory.path("none.yaml"), "memory_gib: 4\nreserved_gib: 4\n");
  EXPECT_THROW(load_hardware(directory.path("none.yaml")), ConfigError);
}

TEST(Plan, RefusesAModelThatCannotBe) {
  const auto path = (shipped_configs() / "paper" / "deepseekmoe_16b.yaml").string();
  EXPECT_THROW(load_config_to_plan(path, {"model.num_attention_heads=7"}), ConfigError);
}

}  // namespace
}  // namespace granule
