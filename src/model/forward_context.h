#pragma once
// What a forward pass knows beside the tokens: how they form sequences, how balance is weighed, and where the
// routers' decisions are noted.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace granule {

/// T = B*S tokens as sequences. A sequence, for balance and capacity, is one row, or one segment of a packed row.
struct SequenceLayout {
  int64_t batch = 0;         ///< B
  int64_t length = 0;        ///< S
  at::Tensor position_BS;    ///< int64, from 0 in each segment
  at::Tensor segment_BS;     ///< int64, -1 = padding; undefined: every row is one segment without padding
  at::Tensor valid_T;        ///< bool: no padding
  at::Tensor sequence_T;     ///< int64, number of the token's sequence in the micro-batch, -1 = padding
  int64_t num_sequences = 0;

  int64_t num_tokens() const { return batch * length; }

  /// Rows are whole sequences; positions run from `first_position`.
  static SequenceLayout rows(int64_t batch, int64_t length, int64_t first_position = 0);
  /// `segment_BS` int64: equal neighbours in a row belong together, -1 is padding.
  static SequenceLayout from_segments(const at::Tensor& segment_BS);
};

/// What one router did in one forward pass, for balance statistics. Padding is not counted.
struct RoutingStatistics {
  at::Tensor count_E;      ///< int64: tokens each expert was chosen for and took
  int64_t num_chosen = 0;  ///< choices made, dropped ones among them
  int64_t num_tokens = 0;
  double entropy_sum = 0;  ///< nats, over tokens, of the scores normalised to 1
  double balance_loss_sum = 0;  ///< balance loss without coefficient, sum over sequences
  int64_t num_sequences = 0;
};

struct ForwardContext {
  SequenceLayout layout;
  /// Weight of one sequence in the balance loss: 1 / sequences of the global batch. 0: no balance loss is made.
  double sequence_weight = 0;
  /// If set, every router appends its statistics, layer by layer.
  std::vector<RoutingStatistics>* statistics = nullptr;
  /// Blocks keep only their input and the router's choice and run again in backward.
  bool recompute = false;
};

}  // namespace granule
