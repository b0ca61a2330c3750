#pragma once
// What a forward pass knows beside the tokens: how they form sequences, how balance is weighed, and where the
// routers' decisions are noted.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "ops/rotary.h"

namespace granule {

class BatchCounts;
struct Routing;
struct RoutingStatistics;

/// T = B*S tokens as sequences. A sequence, for balance and capacity, is one row, or one segment of a packed
/// row.
struct SequenceLayout {
  int64_t batch = 0;       ///< B
  int64_t length = 0;      ///< S
  at::Tensor position_BS;  ///< int64, from 0 in each segment
  at::Tensor segment_BS;   ///< int64, -1 = padding; undefined: every row is one segment without padding
  at::Tensor valid_T;      ///< bool: no padding
  at::Tensor sequence_T;   ///< int64, number of the token's sequence in the micro-batch, -1 = padding
  at::Tensor token_T;      ///< int64 ids, for hash routers; the transformer sets it
  RotaryTable rotary;      ///< of all positions; the transformer sets it
  int64_t num_sequences = 0;
  int64_t end_position = 0;  ///< one more than the largest position

  int64_t num_tokens() const { return batch * length; }
  /// The same layout, its tensors in the memory of `device`.
  SequenceLayout to(at::Device device) const;

  /// Rows are whole sequences; positions run from `first_position`.
  static SequenceLayout rows(int64_t batch, int64_t length, int64_t first_position = 0);
  /// `segment_BS` int64: equal neighbours in a row belong together, -1 is padding.
  static SequenceLayout from_segments(const at::Tensor& segment_BS);
};

/// What an analysis changes about a trained model's routing (arXiv 2401.06066, section 4.5); by default
/// nothing.
struct RoutingIntervention {
  int64_t num_disabled = 0;    ///< so many of the experts that a token ranks first are out of its reach
  int64_t num_chosen = 0;      ///< K in place of the model's; 0: the model's
  bool shared_experts = true;  ///< false: layers with routed experts leave out their shared ones

  bool reroutes() const { return num_disabled > 0 || num_chosen > 0; }
};

/// Where in a run a micro-batch stands: what dropout is drawn from.
struct BatchPlace {
  int64_t step = 0;
  int64_t first_token = 0;  ///< number of its first token within the global batch
};

struct ForwardContext {
  SequenceLayout layout;
  /// Weight of one sequence in a balance loss over sequences, 1 / sequences of the global batch, and of one
  /// token in those over tokens, 1 / valid tokens of the global batch. 0: no balance loss is made.
  double sequence_weight = 0;
  double token_weight = 0;
  /// If set, every router appends its statistics, layer by layer.
  std::vector<RoutingStatistics>* statistics = nullptr;
  /// Blocks keep only their input and the router's choice and run again in backward.
  bool recompute = false;
  /// Where global-batch losses find the counts of other ranks and micro-batches; if null this micro-batch is
  /// all.
  BatchCounts* batch_counts = nullptr;
  RoutingIntervention intervention;
  /// If set, every router appends its whole decision, layer by layer.
  std::vector<Routing>* routings = nullptr;
  /// In training alone: without it nothing is dropped.
  std::optional<BatchPlace> place = {};
  /// If set, called with a block's number before backward goes through it.
  std::function<void(int64_t block)> before_backward = {};
};

}  // namespace granule
