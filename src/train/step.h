#pragma once
// One training step: micro-batches forward and backward, gradients reduced over ranks, one norm, one update.
//
// The rule of scale: a micro-batch's loss is the sum over its valid tokens divided by the valid tokens of the whole
// global batch, known before the step begins, and all reductions are sums. No other factor exists, so results do not
// depend on layout, micro-batch size or accumulation.

#include <vector>

#include "comm/communicator.h"
#include "data/batch.h"
#include "model/routing_statistics.h"
#include "model/transformer.h"
#include "optim/optimizer.h"

namespace granule {

/// Seconds of a step on this rank, phase by phase.
struct StepTimes {
  double forward = 0;
  double backward = 0;
  double reduce = 0;  ///< gradients and statistics over ranks, and the norm
  double update = 0;  ///< AdamW and the gathering of parameters

  double total() const { return forward + backward + reduce + update; }
};

struct StepOutcome {
  double loss = 0;           ///< cross-entropy in nats, mean over the valid tokens of the global batch
  double gradient_norm = 0;  ///< before clipping
  bool applied = false;      ///< false: loss or gradient was not finite on some rank, nothing changed on any
  int64_t num_tokens = 0;    ///< valid tokens of the global batch
  std::vector<RoutingStatistics> routing;  ///< one per routed layer, over the global batch
  StepTimes times;
};

class TrainStep {
 public:
  /// `replica`: the data x expert ranks, each of which reads its own rows. All must outlive the step.
  TrainStep(Transformer& model, Optimizer& optimizer, Communicator& replica, int64_t micro_batch_size,
            bool recompute);

  /// `rows` are this rank's rows of the global batch. Collective over the world.
  StepOutcome run(const Batch& rows, double lr);

 private:
  /// Adds the micro-batch's gradients; returns its loss, as share of the global mean.
  double accumulate(const Batch& micro_batch, int64_t global_tokens, ForwardContext& context, StepTimes& times);

  Transformer& model_;
  Optimizer& optimizer_;
  Communicator& replica_;
  int64_t micro_batch_size_;
  bool recompute_;
};

/// Layout of a batch's tokens: plain rows unless the batch has padding or keeps documents apart.
SequenceLayout layout_of(const Batch& batch);

}  // namespace granule
