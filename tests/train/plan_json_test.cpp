#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/plan_configs.h"
#include "train/plan_report.h"

namespace granule {
namespace {

using nlohmann::json;

Plan plan_16b(const PlanLayout& layout) {
  const auto config = paper_config("deepseekmoe_16b");
  return make_plan(config, measure_cost(config.model, config.train.seq_length), layout, {});
}

TEST(PlanJson, HasTheNumbersOfThePlan) {
  const auto plan = plan_16b({.ranks = 64, .expert = 8});
  const auto read = json::parse(plan_as_json("16B", plan));
  EXPECT_EQ(read["name"], "16B");
  EXPECT_EQ(read["parameters"]["total"], 16'375'728'128);
  EXPECT_EQ(read["parameters"]["routed_activated"], 1'401'421'824);
  EXPECT_EQ(read["layout"]["data"], 8);
  EXPECT_EQ(read["step"]["once_per_rank"], plan.traffic.once_per_rank);
  EXPECT_EQ(read["sequence_flops"]["paper_nominal"], plan.cost.flops.paper_nominal);
  EXPECT_EQ(read["memory_bytes"]["total"], plan.memory.total());
  EXPECT_EQ(read["step"]["seconds"], plan.step.total());
  EXPECT_EQ(read["run"]["goodput"], plan.run.goodput);
  EXPECT_FALSE(read.contains("fault"));
}

TEST(PlanJson, OfALayoutThatCannotBeHasItsFault) {
  const auto read = json::parse(plan_as_json("16B", plan_16b({.ranks = 3, .expert = 3})));
  EXPECT_TRUE(read.contains("fault"));
  EXPECT_FALSE(read.contains("step"));
}

TEST(PlanJson, ListsComparedAndSearchedPlans) {
  const auto plan = plan_16b({.ranks = 64, .expert = 8});
  EXPECT_EQ(json::parse(comparison_as_json({{"a", plan}, {"b", plan}})).size(), 2U);
  const auto search = search_layouts(plan.config, 8, {.memory_gib = 60});
  const auto read = json::parse(search_as_json(search));
  EXPECT_EQ(read["feasible"].size(), search.feasible.size());
  ASSERT_EQ(read["infeasible"].size(), search.infeasible.size());
  EXPECT_EQ(read["infeasible"][0]["fault"], search.infeasible[0].fault);
}

}  // namespace
}  // namespace granule
