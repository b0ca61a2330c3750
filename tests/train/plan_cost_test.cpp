#include "train/plan_cost.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/plan_configs.h"
#include "tests/support/small_model.h"

namespace granule {
namespace {

// `value` in `unit` as the paper prints it.
std::string printed(double value, double unit, int digits) {
  char text[64];
  std::snprintf(text, sizeof(text), "%.*f", digits, value / unit);
  return text;
}

struct PrintedParameters {
  const char* config;
  int digits;
  const char* total;
  const char* activated;
};

TEST(PlanCost, ParametersAreThosePrintedInThePaper) {
  // arXiv 2401.06066, tables 1, 3, 4, 6 and 10, billions.
  const PrintedParameters kPrinted[] = {
      {"dense_0.2b", 1, "0.2", "0.2"},     {"hash_layer", 1, "2.0", "0.2"},
      {"switch", 1, "2.0", "0.2"},         {"gshard_2.0b", 1, "2.0", "0.3"},
      {"deepseekmoe_2b", 1, "2.0", "0.3"}, {"deepseekmoe_16b", 1, "16.4", "2.8"},
      {"deepseek_7b", 1, "6.9", "6.9"},    {"llama2_7b", 1, "6.7", "6.7"},
      {"deepseek_67b", 1, "67.4", "67.4"}, {"deepseekmoe_145b", 1, "144.6", "22.2"},
  };
  for (const auto& row : kPrinted) {
    const auto size = paper_cost(row.config).size;
    EXPECT_EQ(printed(static_cast<double>(size.total()), 1e9, row.digits), row.total) << row.config;
    EXPECT_EQ(printed(static_cast<double>(size.activated()), 1e9, row.digits), row.activated) << row.config;
  }
  EXPECT_EQ(paper_cost("deepseekmoe_16b").size.total(), 16'375'728'128);
}

TEST(PlanCost, ExpertParametersAreThosePrintedInThePaper) {
  // Tables 2, 8 and 9, billions; the half-activated model's by arithmetic.
  const PrintedParameters kPrinted[] = {
      {"deepseekmoe_2b", 2, "1.89", "0.24"}, {"gshard_x1.2", 2, "2.26", "0.28"},
      {"gshard_x1.5", 2, "2.83", "0.35"},    {"dense_x4", 2, "0.47", "0.47"},
      {"dense_x16", 2, "1.89", "1.89"},      {"gshard_2.0b", 2, "1.89", "0.24"},
      {"figure3_shared", 2, "1.89", "0.24"}, {"figure3_m2", 2, "1.89", "0.24"},
      {"figure3_m4", 2, "1.89", "0.24"},     {"shared_2_of_64", 2, "1.89", "0.24"},
      {"shared_4_of_64", 2, "1.89", "0.24"}, {"deepseekmoe_2b_half", 2, "1.89", "0.12"},
  };
  for (const auto& row : kPrinted) {
    const auto cost = paper_cost(row.config);
    EXPECT_EQ(printed(static_cast<double>(cost.experts()), 1e9, row.digits), row.total) << row.config;
    EXPECT_EQ(printed(static_cast<double>(cost.experts_activated()), 1e9, row.digits), row.activated)
        << row.config;
  }
  EXPECT_EQ(printed(static_cast<double>(paper_cost("gshard_x1.2").experts()), 1e9, 1),
            "2.3");  // table 8's one digit
}

TEST(PlanCost, ThirteenBillionPairFitsAllButOnePrintedCount) {
  const auto moe = paper_cost("deepseekmoe_13b").size, small = paper_cost("gshard_13b_x1.2").size;
  const auto large = paper_cost("gshard_13b_x1.5").size;
  EXPECT_EQ(printed(static_cast<double>(moe.total()), 1e9, 1), "13.3");
  EXPECT_EQ(printed(static_cast<double>(moe.activated()), 1e9, 2), "2.05");
  EXPECT_EQ(printed(static_cast<double>(small.total()), 1e9, 1), "15.9");
  EXPECT_EQ(printed(static_cast<double>(small.activated()), 1e9, 2), "2.37");
  EXPECT_EQ(printed(static_cast<double>(large.total()), 1e9, 1), "19.8");
  EXPECT_EQ(printed(static_cast<double>(large.activated()), 1e9, 2), "2.85") << "table 10 prints 2.82";
}

TEST(PlanCost, SaysWhichOfTableSixDoesNotFollow) {
  const auto half = paper_cost("deepseekmoe_142b_half").size, gshard = paper_cost("gshard_137b").size;
  EXPECT_EQ(printed(static_cast<double>(half.total() - half.router), 1e9, 1),
            "142.3");  // as printed, without routers
  EXPECT_EQ(printed(static_cast<double>(half.total()), 1e9, 1), "142.4");
  EXPECT_EQ(printed(static_cast<double>(half.activated()), 1e9, 1), "13.6") << "table 6 prints 12.2";
  EXPECT_EQ(printed(static_cast<double>(gshard.total()), 1e9, 1), "136.5");
  EXPECT_EQ(printed(static_cast<double>(gshard.activated()), 1e9, 1), "21.7") << "table 6 prints 21.6";
  // 21.6 is what two experts of the nominal width 8/3 h make, in layer 0 too.
  const double nominal = nominal_width(10944, 4096);
  const double wider = (10944 - nominal) * 3 * 4096 * 2 * 62;
  EXPECT_EQ(printed(static_cast<double>(gshard.activated()) - wider, 1e9, 1), "21.6");
  EXPECT_EQ(printed(static_cast<double>(paper_cost("deepseek_7b").size.attention), 1e9, 1), "2.0")
      << "section 5.2.1 says 2.5";
}

struct PrintedFlops {
  const char* config;
  double SequenceFlops::*convention;
  const char* tera;
};

TEST(PlanCost, FlopsAreThosePrintedInThePaper) {
  // Tables 1 and 2 (2048 tokens), 3, 4 and 6 (4096 tokens).
  const auto nominal = &SequenceFlops::paper_nominal, real = &SequenceFlops::paper_real;
  const PrintedFlops kPrinted[] = {
      {"dense_0.2b", nominal, "2.9"},      {"hash_layer", nominal, "2.9"},
      {"switch", nominal, "2.9"},          {"gshard_2.0b", nominal, "4.3"},
      {"deepseekmoe_2b", nominal, "4.3"},  {"gshard_x1.5", nominal, "5.8"},
      {"dense_x16", nominal, "24.6"},      {"deepseekmoe_16b", nominal, "74.4"},
      {"deepseek_7b", nominal, "183.5"},   {"llama2_7b", nominal, "187.9"},
      {"deepseek_67b", nominal, "2057.5"}, {"gshard_137b", nominal, "572.7"},
      {"deepseekmoe_145b", real, "585.6"}, {"deepseekmoe_142b_half", real, "374.6"},
      {"figure3_shared", nominal, "4.3"},  {"figure3_m2", nominal, "4.3"},
      {"figure3_m4", nominal, "4.3"},
  };
  for (const auto& row : kPrinted) {
    EXPECT_EQ(printed(paper_cost(row.config).flops.*row.convention, 1e12, 1), row.tera) << row.config;
  }
}

TEST(PlanCost, OtherConventionGivesOtherFlops) {
  EXPECT_EQ(printed(paper_cost("deepseekmoe_16b").flops.paper_real, 1e12, 1), "75.8");
  EXPECT_EQ(printed(paper_cost("deepseek_7b").flops.paper_real, 1e12, 1), "184.3");
  EXPECT_EQ(printed(paper_cost("deepseek_67b").flops.paper_real, 1e12, 0), "1793")
      << "grouped queries counted";
}

TEST(PlanCost, SharesOfComputeAreThosePrintedInThePaper) {
  const auto nominal = [](const char* name) { return paper_cost(name).flops.paper_nominal; };
  const auto real = [](const char* name) { return paper_cost(name).flops.paper_real; };
  EXPECT_EQ(printed(nominal("deepseekmoe_16b"), nominal("deepseek_7b") / 100, 1), "40.6") << "printed 40.5";
  EXPECT_EQ(printed(74.4, 183.5 / 100, 1), "40.5");  // the quotient of the rounded numbers
  EXPECT_EQ(printed(nominal("deepseekmoe_16b"), nominal("llama2_7b") / 100, 1), "39.6");
  EXPECT_EQ(printed(real("deepseekmoe_145b"), nominal("deepseek_67b") / 100, 1), "28.5");
  EXPECT_EQ(printed(real("deepseekmoe_142b_half"), nominal("deepseek_67b") / 100, 1), "18.2");
}

TEST(PlanCost, SuccessorsHaveTheirPublishedSizes) {
  EXPECT_EQ(printed(static_cast<double>(paper_cost("successor_olmoe").size.total()), 1e9, 1), "6.9");
  EXPECT_EQ(printed(static_cast<double>(paper_cost("successor_olmoe").size.activated()), 1e9, 1), "1.3");
  EXPECT_EQ(printed(static_cast<double>(paper_cost("successor_qwen1.5_moe").size.total()), 1e9, 1), "14.3");
  EXPECT_EQ(printed(static_cast<double>(paper_cost("successor_qwen1.5_moe").size.activated()), 1e9, 1),
            "2.7");
  EXPECT_EQ(paper_cost("successor_v3").size.routed, 58LL * 256 * 3 * 7168 * 2048);
}

TEST(PlanCost, NominalWidthUndoesRoundingUp) {
  EXPECT_DOUBLE_EQ(nominal_width(1408, 2048), 8.0 / 3 * 2048 / 4);
  EXPECT_DOUBLE_EQ(nominal_width(1408, 4096), 8.0 / 3 * 4096 / 8);
  EXPECT_DOUBLE_EQ(nominal_width(10944, 2048), 8.0 / 3 * 2048 * 2);
  EXPECT_DOUBLE_EQ(nominal_width(22016, 8192), 8.0 / 3 * 8192);
  EXPECT_NEAR(nominal_width(4096, 1280), 4096, 1e-6);   // 1.2 x 8/3 h exactly
  EXPECT_DOUBLE_EQ(nominal_width(22528, 4096), 22528);  // 16 x 1408 is no such multiple
  EXPECT_DOUBLE_EQ(nominal_width(850, 1280), 850);      // below 853.3: not rounded up from it
  EXPECT_DOUBLE_EQ(nominal_width(8, 2048), 8);          // nearest multiple 0
}

TEST(PlanCost, CausalFlopsAreThoseTheTrainerLogs) {
  const auto config = small_config();
  const auto cost = measure_cost(config, 64);
  const Transformer model(config, alone(), at::kFloat, at::kMeta);
  EXPECT_EQ(cost.size.total(), measure_size(model).total());
  EXPECT_DOUBLE_EQ(cost.flops.causal, 64 * training_flops_per_token(config, measure_size(model), 64));
}

}  // namespace
}  // namespace granule
