#include "train/step.h"

#include <ATen/ATen.h>

#include <chrono>
#include <cmath>

#include "base/check.h"
#include "model/batch_counts.h"
#include "model/routing_statistics.h"
#include "model/selection_bias.h"

namespace granule {

namespace {

// Of the valid tokens and sequences of all ranks, what one weighs in a mean over them.
double weight_of_one(int64_t count) {
  return 1.0 / static_cast<double>(std::max<int64_t>(1, count));
}

Batch rows_of(const Batch& batch, int64_t first, int64_t count) {
  const auto narrow = [&](const at::Tensor& rows) { return rows.narrow(0, first, count); };
  return {narrow(batch.token_BS), narrow(batch.label_BS), narrow(batch.loss_mask_BS),
          narrow(batch.segment_BS)};
}

// Adds the time since its construction, or since its last call, to a phase.
class PhaseClock {
 public:
  void add_to(double& seconds) {
    const auto now = std::chrono::steady_clock::now();
    seconds += std::chrono::duration<double>(now - last_).count();
    last_ = now;
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace

TrainStep::TrainStep(Transformer& model, Optimizer& optimizer, Communicator& replica,
                     int64_t micro_batch_size, bool recompute)
    : model_(model),
      optimizer_(optimizer),
      replica_(replica),
      micro_batch_size_(micro_batch_size),
      recompute_(recompute) {}

StepOutcome TrainStep::run(const Batch& rows, double lr) {
  StepOutcome outcome;
  const int64_t num_rows = rows.token_BS.size(0);
  CHECK(num_rows % micro_batch_size_ == 0, num_rows, " rows in micro-batches of ", micro_batch_size_);
  const auto layout = layout_of(rows);
  auto count_3 = at::tensor(
      {rows.loss_mask_BS.sum().item<int64_t>(), layout.num_sequences, layout.valid_T.sum().item<int64_t>()});
  replica_.all_reduce_sum(count_3);
  outcome.num_tokens = count_3[0].item<int64_t>();
  const double sequence_weight = weight_of_one(count_3[1].item<int64_t>());
  const double token_weight = weight_of_one(count_3[2].item<int64_t>());

  BatchCounts batch_counts(replica_);
  optimizer_.zero_gradients();
  double loss = 0;
  for (int64_t first = 0; first < num_rows; first += micro_batch_size_) {
    const auto micro_batch = rows_of(rows, first, micro_batch_size_);
    std::vector<RoutingStatistics> statistics;
    ForwardContext context{layout_of(micro_batch).to(model_.device()),
                           sequence_weight,
                           token_weight,
                           &statistics,
                           recompute_,
                           &batch_counts};
    context.before_backward = [&](int64_t block) { optimizer_.allocate_gradients(block); };
    context.place = {.step = optimizer_.num_updates(),
                     .first_token = (replica_.rank() * num_rows + first) * rows.token_BS.size(1)};
    batch_counts.begin_micro_batch();
    loss += accumulate(micro_batch, outcome.num_tokens, context, outcome.times);
    add_statistics(outcome.routing, statistics);
  }

  PhaseClock clock;
  auto total = at::full({1}, loss, at::kDouble);
  replica_.all_reduce_sum(total);
  outcome.loss = total.item<double>();
  reduce_statistics(outcome.routing, replica_);
  outcome.gradient_norm = optimizer_.reduce_gradients();
  clock.add_to(outcome.times.reduce);
  outcome.applied = std::isfinite(outcome.loss) && std::isfinite(outcome.gradient_norm);
  if (outcome.applied) {
    optimizer_.apply(lr);
    update_selection_bias(model_, outcome.routing, model_.config().router.moe_router_bias_update_rate);
  }
  clock.add_to(outcome.times.update);
  return outcome;
}

double TrainStep::accumulate(const Batch& micro_batch, int64_t global_tokens, ForwardContext& context,
                             StepTimes& times) {
  PhaseClock clock;
  const auto on_device = [&](const at::Tensor& rows) { return rows.to(model_.device()); };
  const auto output = model_.forward(on_device(micro_batch.token_BS), context);
  const auto losses = model_.token_losses(output.hidden_TD, on_device(micro_batch.label_BS).flatten(),
                                          on_device(micro_batch.loss_mask_BS).flatten());
  const auto loss = losses.sum * weight_of_one(global_tokens);
  const auto objective = output.balance_loss.defined() ? loss + output.balance_loss : loss;
  clock.add_to(times.forward);
  objective.backward();
  clock.add_to(times.backward);
  return losses.loss_T.sum(at::kDouble).item<double>() * weight_of_one(global_tokens);
}

SequenceLayout layout_of(const Batch& batch) {
  const auto [B, S] = get_shape<2>(batch.token_BS);
  const bool plain = batch.segment_BS.eq(0).all().item<bool>();
  return plain ? SequenceLayout::rows(B, S) : SequenceLayout::from_segments(batch.segment_BS);
}

}  // namespace granule
