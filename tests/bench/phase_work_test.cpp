#include "bench/phase_work.h"

#include <gtest/gtest.h>

namespace granule {
namespace {

TEST(PhaseWork, AllPhasesMakeUpTheTrainingFlops) {
  ModelConfig config;
  config.num_hidden_layers = 3;
  config.num_attention_heads = 4;
  config.head_dim = 24;
  const ModelSize size{.embedding = 7000,
                       .head = 7001,
                       .attention = 503,
                       .dense = 301,
                       .shared = 211,
                       .routed = 4096,
                       .router = 64,
                       .norm = 12,
                       .routed_activated = 512};
  constexpr int64_t kTokens = 1024, kLength = 128;

  double flops = 0;
  for (const auto& [phase, work] : phase_work(config, size, kTokens, kLength, 4)) flops += work.flops;
  EXPECT_DOUBLE_EQ(flops, training_flops_per_token(config, size, kLength) * kTokens);
}

TEST(PhaseWork, ATiedHeadIsTheEmbedding) {
  ModelConfig config;
  config.tie_word_embeddings = true;
  const ModelSize size{.embedding = 7000};
  EXPECT_DOUBLE_EQ(phase_work(config, size, 10, 16, 4).at("head").flops, 3 * 2.0 * 7000 * 10);
}

TEST(PhaseWork, FrozenMatricesHaveNoGradientsOfTheirOwn) {
  ModelConfig config;
  const ModelSize size{.embedding = 500, .head = 500, .attention = 1000, .adapters = 100};
  const auto work = phase_work(config, size, 10, 16, 4);
  EXPECT_DOUBLE_EQ(work.at("projections backward").flops, work.at("projections").flops);
  EXPECT_DOUBLE_EQ(work.at("head").flops, 2 * 2.0 * 500 * 10);
  EXPECT_DOUBLE_EQ(work.at("update").bytes, 2.8e3);
}

TEST(PhaseWork, AnUpdateMovesEveryStateOnce) {
  const ModelSize size{.routed = 1000};
  EXPECT_DOUBLE_EQ(phase_work({}, size, 10, 16, 4).at("update").bytes, 28e3);
  EXPECT_DOUBLE_EQ(phase_work({}, size, 10, 16, 2).at("update").bytes, 20e3);
}

}  // namespace
}  // namespace granule
