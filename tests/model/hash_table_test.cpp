#include "model/hash_table.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "base/check.h"
#include "base/file.h"
#include "tests/support/small_model.h"
#include "tests/support/temporary_directory.h"

namespace granule {
namespace {

using Ids = std::vector<int64_t>;

// Sum of `weight` over the ids of each expert.
Ids loads(const Ids& table, const Ids& weight, size_t experts) {
  Ids load(experts, 0);
  for (size_t id = 0; id < table.size(); ++id) load.at(static_cast<size_t>(table[id])) += weight[id];
  return load;
}

TEST(HashTable, GivesEveryExpertAsManyIdsWithoutCounts) {
  const Ids ones(1000, 1);
  const auto table = make_hash_table(ones, 8, RandomStream(5, "a"));
  EXPECT_EQ(loads(table, ones, 8), Ids(8, 125));
}

TEST(HashTable, IsAFunctionOfSeedAndNameAndNoRegularPattern) {
  const Ids ones(64, 1);
  const auto table = make_hash_table(ones, 4, RandomStream(5, "a"));
  EXPECT_EQ(table, make_hash_table(ones, 4, RandomStream(5, "a")));
  EXPECT_NE(table, make_hash_table(ones, 4, RandomStream(6, "a")));
  EXPECT_NE(table, make_hash_table(ones, 4, RandomStream(5, "b")));
}

TEST(HashTable, EvensOutTokensByTheirCounts) {
  // Zipf's law over 1000 ids: by ids alone the busiest of 8 experts would have far more than an eighth.
  Ids counts(1000);
  for (size_t id = 0; id < counts.size(); ++id) counts[id] = static_cast<int64_t>(1000000 / (8 + id));
  const auto load = loads(make_hash_table(counts, 8, RandomStream(5, "a")), counts, 8);
  const double mean = static_cast<double>(std::accumulate(load.begin(), load.end(), int64_t{0})) / 8;
  for (const auto tokens : load) EXPECT_NEAR(static_cast<double>(tokens) / mean, 1.0, 0.01);

  const auto blind = loads(make_hash_table(Ids(1000, 1), 8, RandomStream(5, "a")), counts, 8);
  EXPECT_GT(static_cast<double>(*std::max_element(blind.begin(), blind.end())) / mean, 1.1);
}

TEST(HashTable, GivesTheMostFrequentIdAnExpertByChance) {
  Ids counts(16, 1);
  counts[3] = 100;
  std::set<int64_t> seen;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const auto table = make_hash_table(counts, 4, RandomStream(seed, "a"));
    seen.insert(table[3]);
    EXPECT_EQ(loads(table, Ids(16, 1), 4)[static_cast<size_t>(table[3])], 1);  // it has that expert alone
  }
  EXPECT_GT(seen.size(), 1u);
}

TEST(TokenCounts, AreReadLineByLineAndTheRestIsZero) {
  const TemporaryDirectory directory;
  const auto path = directory.path("counts.txt");
  write_text_file_durably(path, "7\n0\n12\n");
  EXPECT_EQ(read_token_counts(path, 5), (Ids{7, 0, 12, 0, 0}));
}

TEST(TokenCounts, RefuseAnythingButCounts) {
  const TemporaryDirectory directory;
  const auto path = directory.path("counts.txt");
  for (const char* text :
       {"7\n-1\n", "7\nx\n", "7\n\n8\n", "1.5\n", "3 \n", "99999999999999999999\n", "1\n2\n3\n4\n"}) {
    write_text_file_durably(path, text);
    EXPECT_THROW(read_token_counts(path, 3), InputError) << text;
  }
  EXPECT_THROW(read_token_counts(directory.path("missing"), 3), InputError);
}

TEST(FillHashTables, GivesEachLayerOfAModelItsOwnTableFromTheSeed) {
  auto config = small_config();
  config.router.moe_router_type = "hash";
  config.router.num_experts_per_tok = 1;
  config.balance.moe_aux_loss_coeff = 0;
  const auto tables = [&](uint64_t seed) {
    Transformer model(config, alone(), at::kBFloat16);
    model.initialize(seed);
    const auto parameters = model.named_parameters();
    return std::pair(parameters["model.layers.1.mlp.gate.tid2eid"],
                     parameters["model.layers.2.mlp.gate.tid2eid"]);
  };
  const auto [first, second] = tables(3);
  EXPECT_FALSE(first.equal(second));
  EXPECT_TRUE(first.equal(tables(3).first));
  EXPECT_FALSE(first.equal(tables(4).first));
  EXPECT_TRUE(at::bincount(first.to(at::kLong)).eq(config.vocab_size / 8).all().item<bool>());
}

}  // namespace
}  // namespace granule
