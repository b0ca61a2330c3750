#include "optim/flat_parameters.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/support/shard_layout.h"

namespace granule {
namespace {

TEST(FlatParameters, KeepValuesAndBecomeViews) {
  run_layout(1, 1, [](const LayoutRank& rank) {
    const auto parameters = coded_parameters(rank, 3);
    std::vector<at::Tensor> before;
    for (const auto& parameter : parameters) before.push_back(parameter.tensor.detach().clone());

    auto buffers = flatten_parameters(parameters, rank.groups);

    ASSERT_EQ(buffers.size(), 2u);  // dense and experts
    for (auto& buffer : buffers) buffer.allocate_gradient();
    for (size_t i = 0; i < parameters.size(); ++i) {
      const auto& tensor = parameters[i].tensor;
      EXPECT_TRUE(tensor.equal(before[i]));
      EXPECT_TRUE(tensor.is_leaf() && tensor.requires_grad());
      const auto& buffer = buffers[parameters[i].placement == Placement::kExpert ? 1 : 0];
      EXPECT_EQ(tensor.storage().data(), buffer.parameter().storage().data());
      EXPECT_EQ(tensor.grad().storage().data(), buffer.gradient().storage().data());
      EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % 64, 0u);
    }
    buffers[0].parameter().fill_(2);
    EXPECT_TRUE(parameters[0].tensor.eq(2).all().item<bool>());
  });
}

TEST(FlatParameters, BackwardAddsIntoTheFlatGradient) {
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kDouble}) {
    run_layout(1, 1, [&](const LayoutRank& rank) {
      const auto parameters = coded_parameters(rank, 3, dtype);
      auto buffers = flatten_parameters(parameters, rank.groups);
      for (auto& buffer : buffers) buffer.allocate_gradient();
      const auto& embedding = parameters[0].tensor;
      for (int pass = 0; pass < 2; ++pass) embedding.mul(0.5).sum().backward();

      const auto expected_dtype = dtype == at::kDouble ? at::kDouble : at::kFloat;
      EXPECT_EQ(embedding.grad().scalar_type(), expected_dtype);
      double total = 0;
      for (const auto& buffer : buffers) {
        buffer.check_gradients_in_place();
        total += buffer.gradient().sum().item<double>();
      }
      EXPECT_EQ(total, static_cast<double>(embedding.numel()));
    });
  }
}

TEST(FlatParameters, GradientsHaveMemoryOnlyWhileThereAreAny) {
  run_layout(1, 1, [](const LayoutRank& rank) {
    const auto parameters = coded_parameters(rank, 3);
    auto buffer = std::move(flatten_parameters(parameters, rank.groups).front());
    auto gradient = parameters[0].tensor.grad();
    EXPECT_EQ(gradient.storage().nbytes(), 0u);
    EXPECT_FALSE(buffer.has_gradient());
    for (int step = 0; step < 2; ++step) {
      buffer.allocate_gradient();
      EXPECT_TRUE(gradient.eq(0).all().item<bool>());
      gradient.fill_(3);
      buffer.allocate_gradient();
      buffer.check_gradients_in_place();
      EXPECT_EQ(buffer.gradient().sum().item<float>(), 3.0f * static_cast<float>(gradient.numel()));
      EXPECT_EQ(gradient.storage().nbytes(), buffer.gradient().numel() * sizeof(float));
      buffer.free_gradient();
      EXPECT_EQ(gradient.storage().nbytes(), 0u);
    }
  });
}

TEST(FlatParameters, ABufferIsABucketOfOneBlock) {
  const auto parameter = [](int64_t block, int64_t num_elements, Placement placement) {
    return PlacedParameter{.tensor = at::zeros({num_elements}, at::kBFloat16).set_requires_grad(true),
                           .placement = placement,
                           .pieces = {{"some", {num_elements}, 0}},
                           .block = block};
  };
  const int64_t full = int64_t{1} << 23, half = full / 2;
  // By block: dense ones of 0, experts of 0, dense ones of 1; a full bucket takes no more.
  const std::vector<PlacedParameter> parameters = {
      parameter(0, half, Placement::kReplicated), parameter(kNoBlock, 5, Placement::kReplicated),
      parameter(0, 7, Placement::kExpert),        parameter(0, half, Placement::kReplicated),
      parameter(0, 64, Placement::kReplicated),   parameter(1, 3, Placement::kReplicated),
      parameter(1, 2 * full, Placement::kExpert)};
  run_layout(1, 1, [&](const LayoutRank& rank) {
    std::vector<std::pair<int64_t, int64_t>> found;  // block, elements
    for (const auto& buffer : flatten_parameters(parameters, rank.groups)) {
      found.emplace_back(buffer.block(), buffer.parameter().numel());
    }
    const std::vector<std::pair<int64_t, int64_t>> expected = {{kNoBlock, 32}, {0, full}, {0, 64},
                                                               {0, 32},        {1, 32},   {1, 2 * full}};
    EXPECT_EQ(found, expected);
  });
}

TEST(FlatParameters, AGradientThatLeftTheBufferIsNoticed) {
  run_layout(1, 1, [](const LayoutRank& rank) {
    auto parameters = coded_parameters(rank, 3);
    const auto buffers = flatten_parameters(parameters, rank.groups);
    parameters[0].tensor.mutable_grad() = at::zeros_like(parameters[0].tensor);
    EXPECT_THROW(buffers[0].check_gradients_in_place(), std::logic_error);
    parameters[0].tensor.mutable_grad() = at::Tensor();
    EXPECT_THROW(buffers[0].check_gradients_in_place(), std::logic_error);
  });
}

// Every element of every piece lies in exactly one rank's slice, where the segment says, with its decay.
TEST(FlatParameters, SegmentsOfAllSlicesAreAllElements) {
  for (const auto& [data, expert] :
       std::vector<std::pair<int, int>>{{1, 1}, {2, 1}, {1, 2}, {2, 2}, {3, 1}, {4, 1}}) {
    std::mutex mutex;
    std::map<std::string, std::vector<int>> owners;
    run_layout(data, expert, [&](const LayoutRank& rank) {
      const auto parameters = coded_parameters(rank, 3);
      const auto buffers = flatten_parameters(parameters, rank.groups);
      std::map<std::string, at::Tensor> values;
      for_each_piece(parameters, [&](const ParameterPiece& piece, const at::Tensor& piece_values) {
        values[piece.name] = piece_values;
      });
      const std::lock_guard lock(mutex);
      for (const auto& buffer : buffers) {
        EXPECT_EQ(buffer.slice_size() * buffer.group().size(), buffer.parameter().numel());
        for (const auto& segment : buffer.own_segments()) {
          EXPECT_GE(segment.flat_begin, buffer.slice_begin());
          EXPECT_LE(segment.flat_begin + segment.count, buffer.slice_begin() + buffer.slice_size());
          EXPECT_EQ(segment.decays, segment.piece->name != "norm");
          const auto& expected = values.at(segment.piece->name);
          EXPECT_TRUE(buffer.parameter()
                          .narrow(0, segment.flat_begin, segment.count)
                          .equal(expected.narrow(0, segment.piece_begin, segment.count)));
          auto& count = owners[segment.piece->name];
          count.resize(static_cast<size_t>(expected.numel()));
          for (int64_t i = 0; i < segment.count; ++i) ++count[static_cast<size_t>(segment.piece_begin + i)];
        }
      }
    });
    EXPECT_EQ(owners.size(), 3u + 2 * 4);
    for (const auto& [name, count] : owners) {
      for (const int times : count) EXPECT_EQ(times, 1) << name << " in " << data << " x " << expert;
    }
  }
}

TEST(FlatParameters, PiecesMustCoverTheTensor) {
  run_layout(1, 1, [](const LayoutRank& rank) {
    auto parameters = coded_parameters(rank, 3);
    parameters[2].pieces.pop_back();
    EXPECT_THROW(flatten_parameters(parameters, rank.groups), std::logic_error);
  });
}

}  // namespace
}  // namespace granule
