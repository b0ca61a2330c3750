#include "bench/moe_cases.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <set>

#include "base/check.h"
#include "base/file.h"
#include "tests/support/temporary_directory.h"

namespace granule {
namespace {

TEST(ChooseByLoad, GivesEveryTokenDifferentExperts) {
  const auto chosen_TK = choose_by_load({5, 1, 1, 1, 0.1}, 200, 3, 7);
  ASSERT_EQ(chosen_TK.sizes(), (std::vector<int64_t>{200, 3}));
  const auto chosen = chosen_TK.accessor<int64_t, 2>();
  for (int64_t t = 0; t < 200; ++t) {
    EXPECT_EQ(std::set<int64_t>({chosen[t][0], chosen[t][1], chosen[t][2]}).size(), 3u);
  }
}

TEST(ChooseByLoad, FollowsTheLoads) {
  const auto count_E = choose_by_load({6, 3, 1, 0}, 20000, 1, 7).flatten().bincount({}, 4).to(at::kDouble) / 20000;
  EXPECT_TRUE(at::allclose(count_E, at::tensor({0.6, 0.3, 0.1, 0.0}, at::kDouble), 0, 0.02));
}

TEST(ChooseByLoad, IsAFunctionOfItsArguments) {
  const std::vector<double> load_E{1, 2, 3, 4};
  EXPECT_TRUE(choose_by_load(load_E, 50, 2, 7).equal(choose_by_load(load_E, 50, 2, 7)));
  EXPECT_FALSE(choose_by_load(load_E, 50, 2, 7).equal(choose_by_load(load_E, 50, 2, 8)));
}

TEST(ExpertLoads, FallWithTheSkew) {
  const MoeShape even{.n_routed_experts = 4};
  EXPECT_EQ(expert_loads(even), (std::vector<double>{1, 1, 1, 1}));
  const MoeShape skewed{.n_routed_experts = 4, .skew = 1};
  EXPECT_EQ(expert_loads(skewed), (std::vector<double>{1, 1.0 / 2, 1.0 / 3, 1.0 / 4}));
}

TEST(ExpertLoads, OfAFileAreChecked) {
  const TemporaryDirectory directory;
  const auto with = [&](const std::string& text) {
    const std::string path = directory.path() + "/loads.json";
    WriteFile(path).append(text);
    return MoeShape{.n_routed_experts = 4, .num_experts_per_tok = 2, .loads_file = path};
  };
  EXPECT_EQ(expert_loads(with("[3, 0, 2.5, 1]")), (std::vector<double>{3, 0, 2.5, 1}));
  for (const char* wrong : {"[1, 2, 3]", "[1, 2, 3, -1]", "{}", "[1, 2,", "[1, 0, 0, 0]"}) {
    EXPECT_THROW(expert_loads(with(wrong)), InputError) << wrong;
  }
}

}  // namespace
}  // namespace granule
