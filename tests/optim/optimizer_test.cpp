#include "optim/optimizer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <mutex>
#include <set>

#include "ops/master_weights.h"
#include "tests/support/shard_layout.h"
#include "tests/support/tensor_compare.h"

namespace granule {
namespace {

using NamedTensors = std::map<std::string, at::Tensor>;

// Values of all pieces of all ranks; replicas must agree to the last bit.
class Collector {
 public:
  void add(const std::vector<PlacedParameter>& parameters) {
    const std::lock_guard lock(mutex_);
    for_each_piece(parameters, [&](const ParameterPiece& piece, const at::Tensor& values) {
      const auto [place, is_new] = found_.try_emplace(piece.name, values.clone());
      if (!is_new) {
        EXPECT_TRUE(place->second.equal(values)) << piece.name << " differs between ranks";
      }
    });
  }
  const NamedTensors& found() const { return found_; }

 private:
  std::mutex mutex_;
  NamedTensors found_;
};

NamedTensors train(int data, int expert, at::ScalarType dtype, std::vector<double>* norms = nullptr,
                   const std::string& moment_precision = "fp32") {
  Collector collector;
  run_layout(data, expert, [&](const LayoutRank& rank) {
    const auto parameters = coded_parameters(rank, 3, dtype);
    Optimizer optimizer(parameters, rank.groups, {.moment_precision = moment_precision, .clip_grad = 2});
    for (uint64_t step = 1; step <= 5; ++step) {
      optimizer.zero_gradients();
      write_coded_gradients(parameters, rank, step);
      const double norm = optimizer.reduce_gradients();
      if (norms != nullptr && rank.groups.world.rank() == 0) norms->push_back(norm);
      optimizer.apply(0.01);
    }
    collector.add(parameters);
  });
  return collector.found();
}

// The gradients of one rank, before any reduction, in fp64.
NamedTensors single_rank_gradients(uint64_t step) {
  NamedTensors gradients;
  run_layout(1, 1, [&](const LayoutRank& rank) {
    const auto parameters = coded_parameters(rank, 3);
    auto buffers = flatten_parameters(parameters, rank.groups);
    for (auto& buffer : buffers) buffer.allocate_gradient();
    write_coded_gradients(parameters, rank, step);
    for (const auto& parameter : parameters) {
      for (const auto& piece : parameter.pieces) {
        gradients[piece.name] = parameter.tensor.grad()
                                    .view({-1})
                                    .narrow(0, piece.offset, c10::multiply_integers(piece.shape))
                                    .to(at::kDouble);
      }
    }
  });
  return gradients;
}

TEST(Optimizer, UpdatesLikeALoopOfAdamW) {
  std::vector<double> norms;
  const auto trained = train(1, 1, at::kFloat, &norms);

  NamedTensors expected, first, second;
  run_layout(1, 1, [&](const LayoutRank& rank) {
    for_each_piece(coded_parameters(rank, 3), [&](const ParameterPiece& piece, const at::Tensor& values) {
      expected[piece.name] = values.to(at::kDouble);
      first[piece.name] = at::zeros_like(expected[piece.name]);
      second[piece.name] = at::zeros_like(expected[piece.name]);
    });
  });
  for (int step = 1; step <= 5; ++step) {
    const auto gradients = single_rank_gradients(static_cast<uint64_t>(step));
    double squares = 0;
    for (const auto& [name, gradient] : gradients) squares += gradient.square().sum().item<double>();
    EXPECT_DOUBLE_EQ(norms[static_cast<size_t>(step - 1)], std::sqrt(squares));
    const double clip = std::min(1.0, 2 / (std::sqrt(squares) + 1e-6));
    ASSERT_LT(clip, 1);
    for (const auto& [name, gradient] : gradients) {
      const double decay = name == "norm" ? 0 : 0.1;
      for (int64_t i = 0; i < gradient.numel(); ++i) {
        double& w = expected[name].data_ptr<double>()[i];
        double& m = first[name].data_ptr<double>()[i];
        double& v = second[name].data_ptr<double>()[i];
        const double g = gradient.data_ptr<double>()[i] * clip;
        m = 0.9 * m + 0.1 * g;
        v = 0.95 * v + 0.05 * g * g;
        const double mean = m / (1 - std::pow(0.9, step)), square = v / (1 - std::pow(0.95, step));
        w -= 0.01 * (mean / (std::sqrt(square) + 1e-8) + decay * w);
      }
    }
  }
  for (const auto& [name, values] : expected) EXPECT_TENSOR_NEAR(trained.at(name), values, 1e-6);
}

// Gradients whose sums are exact leave no room for rounding: every layout must give the same bits.
TEST(Optimizer, EveryLayoutGivesTheParametersOfOneRankBitByBit) {
  for (const auto& [dtype, moments] :
       {std::pair{at::kFloat, "fp32"}, std::pair{at::kBFloat16, "fp32"}, std::pair{at::kBFloat16, "bf16"}}) {
    std::vector<double> expected_norms;
    const auto expected = train(1, 1, dtype, &expected_norms, moments);
    for (const auto& [data, expert] :
         std::vector<std::pair<int, int>>{{2, 1}, {1, 2}, {2, 2}, {4, 1}, {1, 4}}) {
      std::vector<double> norms;
      const auto trained = train(data, expert, dtype, &norms, moments);
      EXPECT_EQ(norms, expected_norms) << data << " x " << expert;
      ASSERT_EQ(trained.size(), expected.size());
      for (const auto& [name, values] : expected) {
        EXPECT_TRUE(trained.at(name).equal(values)) << name << " in " << data << " x " << expert;
      }
    }
  }
}

TEST(Optimizer, SmallGradientsAreNotClippedAndZeroMeansNoLimit) {
  for (const double clip : {0.0, 1e9}) {
    run_layout(1, 1, [&](const LayoutRank& rank) {
      const auto parameters = coded_parameters(rank, 3);
      Optimizer optimizer(parameters, rank.groups, {.weight_decay = 0, .adam_eps = 0, .clip_grad = clip});
      optimizer.zero_gradients();
      write_coded_gradients(parameters, rank, 1);
      optimizer.reduce_gradients();
      std::vector<at::Tensor> gradients;
      for (const auto& shard : optimizer.shards()) gradients.push_back(shard.buffer->gradient().clone());
      optimizer.apply(0.01);
      // m of the first update shows the factor.
      for (size_t i = 0; i < gradients.size(); ++i) {
        EXPECT_TENSOR_NEAR(optimizer.shards()[i].exp_avg, gradients[i] * static_cast<float>(1 - 0.9), 1e-7);
      }
    });
  }
}

TEST(Optimizer, GradientsOfABlockHaveMemoryFromBackwardToTheUpdate) {
  run_layout(2, 2, [](const LayoutRank& rank) {
    auto parameters = coded_parameters(rank, 3);
    parameters[2].block = 0;  // experts
    parameters[3].block = 1;
    Optimizer optimizer(parameters, rank.groups, {.weight_decay = 0});
    const auto blocks_with_memory = [&] {
      std::set<int64_t> blocks;
      for (const auto& shard : optimizer.shards()) {
        if (shard.buffer->has_gradient()) blocks.insert(shard.buffer->block());
      }
      return blocks;
    };
    using Blocks = std::set<int64_t>;
    EXPECT_EQ(blocks_with_memory(), Blocks{});
    optimizer.zero_gradients();
    EXPECT_EQ(blocks_with_memory(), Blocks{kNoBlock});
    optimizer.allocate_gradients(1);
    EXPECT_EQ(blocks_with_memory(), (Blocks{kNoBlock, 1}));
    parameters[3].tensor.grad().fill_(1);
    optimizer.allocate_gradients(1);
    // Block 0, which backward did not reach, counts as zero on all ranks.
    EXPECT_EQ(optimizer.reduce_gradients(), 4 * std::sqrt(static_cast<double>(parameters[3].tensor.numel())));
    const auto before = parameters[2].tensor.detach().clone();
    optimizer.apply(0.1);
    EXPECT_TRUE(parameters[2].tensor.equal(before));
    EXPECT_EQ(blocks_with_memory(), Blocks{});
    // A step that is left out leaves nothing for the next.
    optimizer.zero_gradients();
    optimizer.allocate_gradients(1);
    parameters[3].tensor.grad().fill_(std::numeric_limits<float>::infinity());
    optimizer.reduce_gradients();
    optimizer.zero_gradients();
    EXPECT_EQ(blocks_with_memory(), Blocks{kNoBlock});
    EXPECT_EQ(optimizer.reduce_gradients(), 0);
  });
}

TEST(Optimizer, ExpertsWithoutGradientStillDecayAndNormsDoNot) {
  run_layout(2, 2, [](const LayoutRank& rank) {
    const auto parameters = coded_parameters(rank, 3);
    std::vector<at::Tensor> before;
    for (const auto& parameter : parameters) before.push_back(parameter.tensor.detach().clone());
    Optimizer optimizer(parameters, rank.groups, {.weight_decay = 0.5});
    optimizer.zero_gradients();
    EXPECT_EQ(optimizer.reduce_gradients(), 0);
    optimizer.apply(0.1);
    for (size_t i = 0; i < parameters.size(); ++i) {
      const auto expected = parameters[i].decays ? before[i] * 0.95 : before[i];
      EXPECT_TENSOR_NEAR(parameters[i].tensor.detach(), expected, 1e-6);
    }
  });
}

TEST(Optimizer, ANonFiniteGradientOfOneRankIsSeenByAllAndNothingChanges) {
  for (const float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    for (const size_t damaged : {size_t{0}, size_t{2}}) {
      run_layout(2, 2, [&](const LayoutRank& rank) {
        const auto parameters = coded_parameters(rank, 3);
        Optimizer optimizer(parameters, rank.groups, {});
        const auto step = [&](uint64_t seed, bool damage) {
          optimizer.zero_gradients();
          write_coded_gradients(parameters, rank, seed);
          if (damage && rank.groups.world.rank() == 3) parameters[damaged].tensor.grad().view({-1})[5] = bad;
          return optimizer.reduce_gradients();
        };
        EXPECT_TRUE(std::isfinite(step(1, false)));
        optimizer.apply(0.01);
        std::vector<at::Tensor> before;
        for (const auto& shard : optimizer.shards()) {
          for (const auto& state : {shard.master(), shard.exp_avg, shard.exp_avg_sq})
            before.push_back(state.clone());
        }

        EXPECT_FALSE(std::isfinite(step(2, true)));

        EXPECT_EQ(optimizer.num_updates(), 1);
        size_t i = 0;
        for (const auto& shard : optimizer.shards()) {
          for (const auto& state : {shard.master(), shard.exp_avg, shard.exp_avg_sq}) {
            EXPECT_TRUE(state.equal(before[i++]));
          }
        }
        EXPECT_THROW(optimizer.apply(0.01), std::logic_error);
        EXPECT_TRUE(std::isfinite(step(2, false)));
        optimizer.apply(0.01);
        EXPECT_EQ(optimizer.num_updates(), 2);
      });
    }
  }
}

TEST(Optimizer, AGradientWhoseSquareOverflowsIsNotFiniteUnlessClipped) {
  for (const double clip : {0.0, 1.0}) {
    run_layout(1, 1, [&](const LayoutRank& rank) {
      const auto parameters = coded_parameters(rank, 3);
      Optimizer optimizer(parameters, rank.groups, {.clip_grad = clip});
      optimizer.zero_gradients();
      write_coded_gradients(parameters, rank, 1);
      parameters[0].tensor.grad().view({-1})[5] = 3e19f;
      EXPECT_EQ(std::isfinite(optimizer.reduce_gradients()), clip > 0);
    });
  }
}

TEST(Optimizer, Bf16ParametersAreTheirMastersRounded) {
  run_layout(2, 1, [](const LayoutRank& rank) {
    const auto parameters = coded_parameters(rank, 3, at::kBFloat16);
    Optimizer optimizer(parameters, rank.groups, {});
    // fp32 parameters of the same values are what the masters must be.
    auto whole = coded_parameters(rank, 3, at::kBFloat16);
    for (auto& parameter : whole) {
      parameter.tensor = parameter.tensor.detach().to(at::kFloat).set_requires_grad(true);
    }
    Optimizer reference(whole, rank.groups, {});
    // Steps far below a bf16 ulp must add up in the master.
    for (uint64_t step = 1; step <= 20; ++step) {
      optimizer.zero_gradients();
      reference.zero_gradients();
      write_coded_gradients(parameters, rank, 1);
      write_coded_gradients(whole, rank, 1);
      for (auto* each : {&optimizer, &reference}) {
        each->reduce_gradients();
        each->apply(1e-4);
      }
    }
    for (size_t i = 0; i < parameters.size(); ++i) {
      const auto& parameter = parameters[i].tensor;
      if (parameter.scalar_type() != at::kBFloat16) continue;
      EXPECT_TRUE(parameter.equal(round_master(whole[i].tensor.detach())));
      EXPECT_FALSE(parameter.to(at::kFloat).equal(whole[i].tensor));
    }
  });
}

TEST(Optimizer, Bf16MomentsLeadToNearlyTheSameParameters) {
  const auto expected = train(1, 1, at::kFloat), rounded = train(1, 1, at::kFloat, nullptr, "bf16");
  for (const auto& [name, values] : expected) {
    EXPECT_FALSE(rounded.at(name).equal(values)) << name;
    // Five updates move an element by up to 0.05.
    EXPECT_TENSOR_NEAR(rounded.at(name), values, 5e-4);
  }
}

TEST(Optimizer, AfterAChangeOfStateParametersFollowMastersOnEveryRank) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    run_layout(2, 2, [&](const LayoutRank& rank) {
      const auto parameters = coded_parameters(rank, 3, dtype);
      Optimizer optimizer(parameters, rank.groups, {});
      for (const auto& shard : optimizer.shards()) shard.set_master(0, shard.master() * 3);
      const auto expected = coded_parameters(rank, 3, dtype);
      optimizer.state_changed(7);
      EXPECT_EQ(optimizer.num_updates(), 7);
      for (size_t i = 0; i < parameters.size(); ++i) {
        const auto tripled = expected[i].tensor.detach().to(at::kFloat) * 3;
        const bool rounded = expected[i].tensor.scalar_type() == at::kBFloat16;
        EXPECT_TRUE(parameters[i].tensor.detach().equal(rounded ? round_master(tripled) : tripled));
      }
    });
  }
}

TEST(OptimizerConfig, RefusesWhatCannotBe) {
  EXPECT_NO_THROW(OptimizerConfig().check());
  EXPECT_THROW((OptimizerConfig{.lr = 1, .min_lr = 2}.check()), ConfigError);
  EXPECT_THROW((OptimizerConfig{.adam_beta1 = 1}.check()), ConfigError);
  EXPECT_THROW((OptimizerConfig{.adam_beta2 = 1}.check()), ConfigError);
  EXPECT_THROW((OptimizerConfig{.adam_eps = 0}.check()), ConfigError);
  EXPECT_THROW((OptimizerConfig{.adam_eps = 1e-46}.check()), ConfigError);  // 0 in fp32
  EXPECT_NO_THROW((OptimizerConfig{.adam_beta2 = 0.999}.check()));
  EXPECT_NO_THROW((OptimizerConfig{.moment_precision = "bf16"}.check()));
  EXPECT_THROW((OptimizerConfig{.adam_beta2 = 0.999, .moment_precision = "bf16"}.check()), ConfigError);
}

}  // namespace
}  // namespace granule
