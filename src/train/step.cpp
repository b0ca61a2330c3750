#include "train/step.h"

#include <ATen/ATen.h>

#include <cmath>

#include "base/check.h"

namespace granule {

namespace {

// Layer by layer over the micro-batches of a step.
void add_statistics(std::vector<RoutingStatistics>& total, const std::vector<RoutingStatistics>& part) {
  if (total.empty()) {
    total = part;
    return;
  }
  CHECK(total.size() == part.size(), total.size(), " layers against ", part.size());
  for (size_t i = 0; i < total.size(); ++i) {
    total[i].count_E += part[i].count_E;
    total[i].num_chosen += part[i].num_chosen;
    total[i].num_tokens += part[i].num_tokens;
    total[i].entropy_sum += part[i].entropy_sum;
    total[i].balance_loss_sum += part[i].balance_loss_sum;
    total[i].num_sequences += part[i].num_sequences;
  }
}

Batch rows_of(const Batch& batch, int64_t first, int64_t count) {
  const auto narrow = [&](const at::Tensor& rows) { return rows.narrow(0, first, count); };
  return {narrow(batch.token_BS), narrow(batch.label_BS), narrow(batch.loss_mask_BS), narrow(batch.segment_BS)};
}

}  // namespace

TrainStep::TrainStep(Transformer& model, Optimizer& optimizer, Communicator& replica, int64_t micro_batch_size,
                     bool recompute)
    : model_(model), optimizer_(optimizer), replica_(replica), micro_batch_size_(micro_batch_size), recompute_(recompute) {}

StepOutcome TrainStep::run(const Batch& rows, double lr) {
  StepOutcome outcome;
  const int64_t num_rows = rows.token_BS.size(0);
  CHECK(num_rows % micro_batch_size_ == 0, num_rows, " rows in micro-batches of ", micro_batch_size_);
  outcome.num_tokens = replica_.all_reduce_sum(rows.loss_mask_BS.sum().item<int64_t>());
  const int64_t num_sequences = replica_.all_reduce_sum(layout_of(rows).num_sequences);

  optimizer_.zero_gradients();
  double loss = 0;
  for (int64_t first = 0; first < num_rows; first += micro_batch_size_) {
    const auto micro_batch = rows_of(rows, first, micro_batch_size_);
    std::vector<RoutingStatistics> statistics;
    ForwardContext context{layout_of(micro_batch), 1.0 / static_cast<double>(std::max<int64_t>(1, num_sequences)),
                           &statistics, recompute_};
    loss += accumulate(micro_batch, outcome.num_tokens, context);
    add_statistics(outcome.routing, statistics);
  }

  auto total = at::full({1}, loss, at::kDouble);
  replica_.all_reduce_sum(total);
  outcome.loss = total.item<double>();
  reduce_statistics(outcome.routing, replica_);
  outcome.gradient_norm = optimizer_.reduce_gradients();
  outcome.applied = std::isfinite(outcome.loss) && std::isfinite(outcome.gradient_norm);
  if (outcome.applied) optimizer_.apply(lr);
  return outcome;
}

double TrainStep::accumulate(const Batch& micro_batch, int64_t global_tokens, ForwardContext& context) {
  const auto output = model_.forward(micro_batch.token_BS, context);
  const auto loss_T = model_.token_losses(output.hidden_TD, micro_batch.label_BS.flatten(),
                                          micro_batch.loss_mask_BS.flatten());
  const auto loss = loss_T.sum() / static_cast<double>(std::max<int64_t>(1, global_tokens));
  const auto objective = output.balance_loss.defined() ? loss + output.balance_loss : loss;
  objective.backward();
  return loss_T.detach().sum(at::kDouble).item<double>() / static_cast<double>(std::max<int64_t>(1, global_tokens));
}

SequenceLayout layout_of(const Batch& batch) {
  const auto [B, S] = get_shape<2>(batch.token_BS);
  const bool plain = batch.segment_BS.eq(0).all().item<bool>();
  return plain ? SequenceLayout::rows(B, S) : SequenceLayout::from_segments(batch.segment_BS);
}

void reduce_statistics(std::vector<RoutingStatistics>& statistics, Communicator& group) {
  if (statistics.empty()) return;
  const auto num_layers = static_cast<int64_t>(statistics.size());
  const int64_t E = statistics[0].count_E.numel();
  auto integers = at::zeros({num_layers, E + 3}, at::kLong);
  auto sums = at::zeros({num_layers, 2}, at::kDouble);
  for (int64_t i = 0; i < num_layers; ++i) {
    const auto& layer = statistics[static_cast<size_t>(i)];
    integers[i].narrow(0, 0, E).copy_(layer.count_E);
    integers[i].narrow(0, E, 3).copy_(at::tensor({layer.num_chosen, layer.num_tokens, layer.num_sequences}));
    sums[i].copy_(at::tensor({layer.entropy_sum, layer.balance_loss_sum}, at::kDouble));
  }
  group.all_reduce_sum(integers);
  group.all_reduce_sum(sums);
  const auto integer = integers.accessor<int64_t, 2>();
  const auto sum = sums.accessor<double, 2>();
  for (int64_t i = 0; i < num_layers; ++i) {
    auto& layer = statistics[static_cast<size_t>(i)];
    layer.count_E = integers[i].narrow(0, 0, E).clone();
    layer.num_chosen = integer[i][E];
    layer.num_tokens = integer[i][E + 1];
    layer.num_sequences = integer[i][E + 2];
    layer.entropy_sum = sum[i][0];
    layer.balance_loss_sum = sum[i][1];
  }
}

}  // namespace granule
