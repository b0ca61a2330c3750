#pragma once
// Expert parallelism: tokens travel to the ranks that hold their experts and back. Knows no weights. Rows are sorted
// by (expert, source token), so what goes to a rank lies together; counts travel apart from the rows.

#include <ATen/core/Tensor.h>

#include <vector>

#include "comm/communicator.h"
#include "ops/row_order.h"

namespace granule {

/// Where every row goes, made once per layer and forward pass from the router's choice.
struct DispatchPlan {
  RowOrder by_expert;                 ///< this rank's T*K choices, sorted by global expert
  std::vector<int64_t> send_rows;     ///< of those, how many go to each rank
  std::vector<int64_t> receive_rows;  ///< how many come from each rank
  /// The received rows, sorted by local expert; each has one slot. Of a group of one rank: by_expert itself.
  RowOrder by_local_expert;
};

class Dispatcher {
 public:
  /// The experts are split evenly over the ranks of `group`, in rank order.
  Dispatcher(Communicator& group, int64_t num_experts);

  int64_t num_local_experts() const { return num_local_experts_; }

  /// `expert_TK` int64, -1 = dropped. Collective: exchanges counts.
  DispatchPlan plan(const at::Tensor& expert_TK) const;
  /// Rows for the local experts, in the order that `plan.by_local_expert` sorts. Collective, also without rows.
  at::Tensor dispatch(const at::Tensor& x_TD, const DispatchPlan& plan) const;
  /// The gates of those rows, fp32, but sorted by local expert: scale_N of expert_mlp. Collective.
  at::Tensor dispatch_gates(const at::Tensor& gate_TK, const DispatchPlan& plan) const;
  /// From the local experts' weighed outputs, in the order of dispatch, to the sum for each token. Collective.
  at::Tensor combine(const at::Tensor& y_RD, const DispatchPlan& plan) const;

 private:
  Communicator& group_;
  int64_t num_experts_;
  int64_t num_local_experts_;
};

}  // namespace granule
