#include "optim/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <limits>
#include <numeric>

#include "base/check.h"
#include "base/heap.h"
#include "ops/adamw_update.h"
#include "ops/master_weights.h"

namespace granule {

namespace {

// In fp64 and in chunks of fixed size, so that the sum depends neither on threads nor overflows.
double sum_of_squares(const at::Tensor& values) {
  constexpr int64_t kChunk = 1 << 14;
  const int64_t count = values.numel();
  const auto* value = values.const_data_ptr<float>();
  std::vector<double> partial(static_cast<size_t>((count + kChunk - 1) / kChunk));
  at::parallel_for(0, static_cast<int64_t>(partial.size()), 1, [&](int64_t first, int64_t last) {
    for (int64_t chunk = first; chunk < last; ++chunk) {
      // Many sums side by side, none of which waits for another.
      std::array<double, 16> sums{};
      int64_t i = chunk * kChunk;
      const int64_t end = std::min(count, i + kChunk), lanes = std::ssize(sums);
      for (; i + lanes <= end; i += lanes) {
        for (int64_t lane = 0; lane < lanes; ++lane) {
          const double one = value[i + lane];
          sums[static_cast<size_t>(lane)] += one * one;
        }
      }
      for (; i < end; ++i) sums[0] += static_cast<double>(value[i]) * value[i];
      partial[static_cast<size_t>(chunk)] = std::accumulate(sums.begin(), sums.end(), 0.0);
    }
  });
  double total = 0;
  for (const double sum : partial) total += sum;
  return total;
}

// The same by operators, for any device: pieces, so that fp64 takes little memory.
at::Tensor sum_of_squares_by_operators(const at::Tensor& values) {
  constexpr int64_t kPiece = int64_t{1} << 24;
  auto sum = at::zeros({}, values.options().dtype(at::kDouble));
  for (int64_t begin = 0; begin < values.numel(); begin += kPiece) {
    sum += values.narrow(0, begin, std::min(kPiece, values.numel() - begin)).to(at::kDouble).square_().sum();
  }
  return sum;
}

// fp64, where the values are: nobody waits for a device here.
at::Tensor squares_of(const at::Tensor& values) {
  return values.is_cpu() ? at::scalar_tensor(sum_of_squares(values), at::kDouble) : sum_of_squares_by_operators(values);
}

}  // namespace

void OptimizerConfig::check() const {
  if (min_lr > lr) throw ConfigError("optimizer.min_lr", min_lr, "must not exceed optimizer.lr = ", lr);
  if (adam_beta1 >= 1) throw ConfigError("optimizer.adam_beta1", adam_beta1, "must be below 1");
  if (adam_beta2 >= 1) throw ConfigError("optimizer.adam_beta2", adam_beta2, "must be below 1");
  if (static_cast<float>(adam_eps) <= 0) {  // it is added in fp32
    throw ConfigError("optimizer.adam_eps", adam_eps,
                      "must be above 0 in fp32: an element whose gradients were all 0 would become 0 / 0");
  }
  if (moment_dtype() != at::kBFloat16) return;
  // bf16 has 8 bits: from 1 - beta = 2^-8 on, a mean of zeros would no longer fall.
  constexpr double kLargestBeta = 0.98;
  const std::string reason =
      "must not exceed 0.98 with optimizer.moment_precision = bf16, which would round "
      "smaller changes away";
  if (adam_beta1 > kLargestBeta) throw ConfigError("optimizer.adam_beta1", adam_beta1, reason);
  if (adam_beta2 > kLargestBeta) throw ConfigError("optimizer.adam_beta2", adam_beta2, reason);
}

at::Tensor OptimizerShard::master(int64_t begin, int64_t count) const {
  const auto parameter = buffer->own_slice(buffer->parameter()).narrow(0, begin, count);
  return remainder.defined() ? join_master(parameter, remainder.narrow(0, begin, count)) : parameter;
}

void OptimizerShard::set_master(int64_t begin, const at::Tensor& values) const {
  const auto parameter = buffer->own_slice(buffer->parameter()).narrow(0, begin, values.numel());
  if (remainder.defined()) {
    split_master(values.to(parameter.device()), parameter, remainder.narrow(0, begin, values.numel()));
  } else {
    parameter.copy_(values);
  }
}

Optimizer::Optimizer(const std::vector<PlacedParameter>& parameters, const ShardGroups& groups,
                     const OptimizerConfig& config)
    : config_(config), world_(groups.world), buffers_(flatten_parameters(parameters, groups)) {
  for (const auto& buffer : buffers_) {
    CHECK(buffer.dtype() == at::kFloat || buffer.dtype() == at::kBFloat16, "parameters in ", buffer.dtype());
    const auto zeros = [&](at::ScalarType dtype) {
      return at::zeros({buffer.slice_size()}, buffer.parameter().options().dtype(dtype));
    };
    const auto remainder = buffer.dtype() == at::kBFloat16 ? zeros(at::kShort) : at::Tensor();
    shards_.push_back({&buffer, remainder, zeros(config.moment_dtype()), zeros(config.moment_dtype())});
    runs_.push_back(decay_runs(buffer));
  }
  // What the parameters lay in before they moved into the flat buffers.
  release_freed_memory();
}

std::vector<Optimizer::DecayRun> Optimizer::decay_runs(const FlatBuffer& buffer) {
  std::vector<DecayRun> runs;
  int64_t end = 0;
  for (const auto& segment : buffer.own_segments()) {
    const int64_t begin = segment.flat_begin - buffer.slice_begin();
    // The zeros between tensors stay zero with or without decay and go with either side.
    if (runs.empty() || runs.back().decays != segment.decays) {
      runs.push_back({begin, segment.count, segment.decays});
    } else {
      runs.back().count = begin + segment.count - runs.back().begin;
    }
    end = begin + segment.count;
  }
  CHECK(end <= buffer.slice_size(), "segments reach ", end, " of ", buffer.slice_size());
  return runs;
}

void Optimizer::zero_gradients() {
  for (auto& buffer : buffers_) buffer.free_gradient();
  allocate_gradients(kNoBlock);
}

void Optimizer::allocate_gradients(int64_t block) {
  for (auto& buffer : buffers_) {
    if (buffer.block() == block) buffer.allocate_gradient();
  }
}

double Optimizer::reduce_gradients() {
  at::Tensor sum;
  for (auto& buffer : buffers_) {
    buffer.allocate_gradient();
    buffer.check_gradients_in_place();
    auto slice = buffer.own_slice(buffer.gradient());
    buffer.group().reduce_scatter_sum(buffer.gradient(), slice);
    const auto squares = squares_of(slice);
    sum = sum.defined() ? sum + squares : squares;
  }
  auto squares = sum.defined() ? sum.cpu() : at::zeros({}, at::kDouble);
  // Own slices of all ranks together hold every element once.
  world_.all_reduce_sum(squares);
  gradient_norm_ = std::sqrt(squares.item<double>());
  // AdamW squares in fp32, and a moment that overflows stays so: no better than a norm that is not finite.
  const double largest = std::sqrt(std::numeric_limits<float>::max());
  if (gradient_norm_ * clip_factor() > largest) gradient_norm_ = std::numeric_limits<double>::infinity();
  return gradient_norm_;
}

double Optimizer::clip_factor() const {
  return config_.clip_grad > 0 ? std::min(1.0, config_.clip_grad / (gradient_norm_ + 1e-6)) : 1.0;
}

void Optimizer::apply(double lr) {
  CHECK(std::isfinite(gradient_norm_), "an update from gradients of norm ", gradient_norm_);
  const double factor = clip_factor();
  ++num_updates_;
  for (size_t i = 0; i < shards_.size(); ++i) {
    update_shard(i, lr, factor);
    buffers_[i].free_gradient();
    auto all = buffers_[i].parameter();
    buffers_[i].group().all_gather(buffers_[i].own_slice(all), all);
  }
}

void Optimizer::update_shard(size_t index, double lr, double clip_factor) {
  const auto& shard = shards_[index];
  const auto& buffer = buffers_[index];
  const AdamWSlices slices{.parameter = buffer.own_slice(buffer.parameter()),
                           .remainder = shard.remainder,
                           .m = shard.exp_avg,
                           .v = shard.exp_avg_sq,
                           .gradient = buffer.own_slice(buffer.gradient())};
  AdamWStep step{.lr = lr,
                 .beta1 = config_.adam_beta1,
                 .beta2 = config_.adam_beta2,
                 .eps = config_.adam_eps,
                 .gradient_scale = clip_factor,
                 .update = num_updates_};
  for (const auto& run : runs_[index]) {
    step.weight_decay = run.decays ? config_.weight_decay : 0;
    adamw_update(step, slices.narrow(run.begin, run.count));
  }
}

void Optimizer::state_changed(int64_t num_updates) {
  CHECK(num_updates >= 0, num_updates, " updates");
  num_updates_ = num_updates;
  for (size_t i = 0; i < shards_.size(); ++i) {
    auto all = buffers_[i].parameter();
    buffers_[i].group().all_gather(buffers_[i].own_slice(all), all);
  }
}

}  // namespace granule
