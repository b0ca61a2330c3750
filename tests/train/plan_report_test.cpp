#include "train/plan_report.h"

#include <gtest/gtest.h>

#include "tests/support/plan_configs.h"

namespace granule {
namespace {

Plan plan_of(const char* name, const PlanLayout& layout) {
  const auto config = paper_config(name);
  return make_plan(config, measure_cost(config.model, config.train.seq_length), layout, {});
}

void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << part << " is missing in\n" << text;
}

TEST(PlanReport, NamesParametersFlopsAndLayout) {
  const auto text = plan_as_text("16B", plan_of("deepseekmoe_16b", {.ranks = 64, .expert = 8}));
  expect_contains(text, "16,375,728,128");
  expect_contains(text, "2,828,650,496");
  expect_contains(text, "74.43");
  expect_contains(text, "75.83");
  expect_contains(text, "pipeline 1 x data 8 x expert 8");
  expect_contains(text, "nominal expert width 1365.3, configured 1408");
  EXPECT_EQ(text.find("cannot run"), std::string::npos);
  EXPECT_EQ(text.find("a plan only"), std::string::npos);
}

TEST(PlanReport, SaysWhyALayoutCannotRun) {
  const auto text = plan_as_text("16B", plan_of("deepseekmoe_16b", {.ranks = 3, .expert = 3}));
  expect_contains(text, "cannot run: 3 expert ranks do not divide 64 routed experts");
  EXPECT_EQ(text.find("memory of"), std::string::npos);
  expect_contains(plan_as_text("16B", plan_of("deepseekmoe_16b", {.ranks = 64, .pipeline = 2, .expert = 8})),
                  "a plan only");
}

TEST(PlanReport, ComparesLineByLine) {
  const auto text =
      comparison_as_text({{"a", plan_of("deepseekmoe_2b", {})}, {"b", plan_of("gshard_x1.5", {})}});
  expect_contains(text, "\na ");
  expect_contains(text, "1.97B");
  expect_contains(text, "2.83B");
  expect_contains(text, "5.8");
}

TEST(PlanReport, ListsWhatFitsAndWhyOthersDoNot) {
  const auto text = search_as_text(search_layouts(paper_config("deepseekmoe_16b"), 8, {.memory_gib = 40}));
  expect_contains(text, "layouts that fit, fastest first");
  expect_contains(text, "layouts that do not");
  expect_contains(text, "GiB of 34.0");
  EXPECT_EQ(text.find(" \n"), std::string::npos) << "spaces at the end of a line";
}

TEST(PlanReport, GivesNoLengthThatNobodyKnows) {
  auto epochs = paper_config("deepseekmoe_16b");
  epochs.train.num_train_epochs = 8;
  expect_contains(search_as_text(search_layouts(epochs, 8, {.memory_gib = 400})), "?");
  const HardwareConfig failing{.memory_gib = 400, .hours_between_failures = 1e-4};
  const auto text = search_as_text(search_layouts(paper_config("deepseekmoe_16b"), 8, failing));
  expect_contains(text, "never");
  EXPECT_EQ(text.find("inf"), std::string::npos) << text;
}

}  // namespace
}  // namespace granule
