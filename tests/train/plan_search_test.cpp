#include "train/plan_search.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/plan_configs.h"

namespace granule {
namespace {

TEST(PlanSearch, FindsTheWorkedLayoutOfThe16B) {
  const auto search =
      search_layouts(paper_config("deepseekmoe_16b"), 64, {.memory_gib = 80, .reserved_gib = 0});
  const auto worked = std::find_if(search.feasible.begin(), search.feasible.end(), [](const Plan& plan) {
    return plan.layout.pipeline == 1 && plan.layout.expert == 8 && !plan.layout.recompute;
  });
  ASSERT_NE(worked, search.feasible.end());
  EXPECT_TRUE(std::is_sorted(search.feasible.begin(), search.feasible.end(),
                             [](const Plan& a, const Plan& b) { return a.step.total() < b.step.total(); }));
  for (const auto& plan : search.feasible) {
    EXPECT_EQ(plan.fault, "");
    EXPECT_LE(plan.memory.total(), plan.memory_limit());
  }
}

TEST(PlanSearch, GivesAReasonForEveryOtherLayout) {
  const auto search =
      search_layouts(paper_config("deepseekmoe_145b"), 512, {.memory_gib = 80, .reserved_gib = 0});
  ASSERT_FALSE(search.infeasible.empty());
  for (const auto& plan : search.infeasible) EXPECT_NE(plan.fault, "");
  // Without stages the non-expert parameters alone need 57 GB, and few experts can be held beside them.
  const auto whole = std::find_if(search.infeasible.begin(), search.infeasible.end(), [](const Plan& plan) {
    return plan.layout.pipeline == 1 && plan.layout.expert == 8 && plan.layout.recompute;
  });
  ASSERT_NE(whole, search.infeasible.end());
  EXPECT_NE(whole->fault.find("GiB of 80.0"), std::string::npos) << whole->fault;
  // The worked layouts: stage 0 keeps 94 GiB of activations, but 1.9 + 1.5 when recomputed.
  const auto has = [](const std::vector<Plan>& plans, int64_t pipeline, int64_t expert, bool recompute) {
    return std::any_of(plans.begin(), plans.end(), [&](const Plan& plan) {
      return plan.layout.pipeline == pipeline && plan.layout.expert == expert &&
             plan.layout.recompute == recompute;
    });
  };
  EXPECT_TRUE(has(search.feasible, 8, 8, true));
  EXPECT_TRUE(has(search.feasible, 16, 4, true));
  EXPECT_TRUE(has(search.infeasible, 8, 8, false));
  EXPECT_FALSE(has(search.feasible, 8, 8, false));
}

TEST(PlanSearch, KeepsToTheStagesItIsGiven) {
  const auto search = search_layouts(paper_config("deepseekmoe_16b"), 64, {}, 1);
  ASSERT_FALSE(search.feasible.empty());
  for (const auto& plan : search.feasible) EXPECT_EQ(plan.layout.pipeline, 1);
  ASSERT_FALSE(search_layouts(paper_config("deepseekmoe_16b"), 64, {}, 3).infeasible.empty());
  const auto many = search_layouts(paper_config("deepseekmoe_16b"), 4, {}, 8);
  EXPECT_TRUE(many.feasible.empty());
  ASSERT_EQ(many.infeasible.size(), 1U);
  EXPECT_EQ(many.infeasible[0].fault, "8 stages do not divide 4 ranks");
}

TEST(PlanSearch, CoversEveryPairOfStagesAndExpertRanks) {
  const auto search = search_layouts(paper_config("deepseekmoe_2b"), 12, {});
  std::vector<std::pair<int64_t, int64_t>> seen;
  for (const auto* plans : {&search.feasible, &search.infeasible}) {
    for (const auto& plan : *plans) seen.emplace_back(plan.layout.pipeline, plan.layout.expert);
  }
  std::sort(seen.begin(), seen.end());
  seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
  // 1: 1 2 3 4 6 12, 2: 1 2 3 6, 3: 1 2 4, 4: 1 3, 6: 1 2, 12: 1.
  EXPECT_EQ(seen.size(), 18U);
}

}  // namespace
}  // namespace granule
